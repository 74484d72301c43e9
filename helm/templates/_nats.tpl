{{/* How ingestor and edge reach NATS: our own or an external one. */}}

{{- define "tickwire.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "tickwire.fullname" . }}-nats:4222
{{- else -}}
{{ required "externalNats.url is needed where nats.enabled is false" .Values.externalNats.url }}
{{- end -}}
{{- end -}}

{{/* Takes (list variable secret key). */}}
{{- define "tickwire.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* Environment that comes from Secrets. Takes (list context component); our own NATS knows a user a component. */}}
{{- define "tickwire.natsEnv" -}}
{{- $component := index . 1 }}
{{- $values := (index . 0).Values }}
{{- if $values.nats.enabled }}
{{- with $values.nats.auth.existingSecret }}
- name: TICKWIRE_NATS__USER
  value: {{ $component }}
{{ include "tickwire.secretEnv" (list "TICKWIRE_NATS__PASSWORD" . (printf "%s-password" $component)) }}
{{- end }}
{{- else }}
{{- $auth := $values.externalNats.auth }}
{{- with $auth.existingSecret }}
{{- if eq $auth.kind "user" }}
{{ include "tickwire.secretEnv" (list "TICKWIRE_NATS__USER" . $auth.usernameKey) }}
{{ include "tickwire.secretEnv" (list "TICKWIRE_NATS__PASSWORD" . $auth.passwordKey) }}
{{- else if eq $auth.kind "token" }}
{{ include "tickwire.secretEnv" (list "TICKWIRE_NATS__TOKEN" . $auth.tokenKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings for the ConfigMap of ingestor and edge. */}}
{{- define "tickwire.natsConfig" -}}
TICKWIRE_NATS__URL: {{ include "tickwire.natsUrl" . | quote }}
{{- if not .Values.nats.enabled }}
{{- $nats := .Values.externalNats }}
{{- if and $nats.auth.existingSecret (eq $nats.auth.kind "credentials") }}
TICKWIRE_NATS__CREDENTIALS_FILE: /etc/tickwire/nats/credentials/{{ $nats.auth.credentialsKey }}
{{- end }}
{{- if $nats.tls.required }}
TICKWIRE_NATS__TLS_REQUIRED: "true"
{{- end }}
{{- if $nats.tls.caSecret }}
TICKWIRE_NATS__TLS_CA: /etc/tickwire/nats/ca/{{ $nats.tls.caKey }}
{{- end }}
{{- if $nats.tls.clientSecret }}
TICKWIRE_NATS__TLS_CERT: /etc/tickwire/nats/client/tls.crt
TICKWIRE_NATS__TLS_KEY: /etc/tickwire/nats/client/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secrets to mount, as {"folder": "secret"} in JSON. */}}
{{- define "tickwire.natsSecrets" -}}
{{- $secrets := dict -}}
{{- if not .Values.nats.enabled -}}
{{- $nats := .Values.externalNats -}}
{{- if and $nats.auth.existingSecret (eq $nats.auth.kind "credentials") -}}
{{- $_ := set $secrets "credentials" $nats.auth.existingSecret -}}
{{- end -}}
{{- with $nats.tls.caSecret }}{{ $_ := set $secrets "ca" . }}{{ end -}}
{{- with $nats.tls.clientSecret }}{{ $_ := set $secrets "client" . }}{{ end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{- define "tickwire.natsMounts" -}}
{{- range $folder, $_ := fromJson (include "tickwire.natsSecrets" .) }}
- name: nats-{{ $folder }}
  mountPath: /etc/tickwire/nats/{{ $folder }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "tickwire.natsVolumes" -}}
{{- range $folder, $secret := fromJson (include "tickwire.natsSecrets" .) }}
- name: nats-{{ $folder }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
{{- end }}
{{- end -}}
