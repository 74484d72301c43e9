{{/*
The configuration of our own NATS. Ports: 4222 clients, 6222 routes, 8222 monitoring (for probes; no Service has it).
https://docs.nats.io/running-a-nats-service/configuration
*/}}
{{- define "tickwire.natsConf" -}}
{{- $name := printf "%s-nats" (include "tickwire.fullname" .) -}}
{{- $nats := .Values.nats -}}
server_name: $POD_NAME
port: 4222
http: 8222
# A slow edge is cut by the server, never a brake on the ingestor.
no_fast_producer_stall: true
write_deadline: "5s"
max_pending: 64MB
lame_duck_grace_period: "5s"
lame_duck_duration: "30s"
jetstream {
  store_dir: /data
  max_memory_store: {{ include "tickwire.bytes" $nats.jetstream.memoryStore }}
  max_file_store: {{ include "tickwire.bytes" $nats.jetstream.fileStore.size }}
}
{{- if $nats.auth.existingSecret }}
accounts {
  TICKWIRE {
    jetstream: enabled
    users: [ { user: $NATS_USER, password: $NATS_PASSWORD } ]
  }
}
{{- end }}
{{- if gt (int $nats.replicas) 1 }}
cluster {
  name: {{ $name }}
  port: 6222
  no_advertise: true
  routes: [
    {{- range $i := until (int $nats.replicas) }}
    nats://{{ $name }}-{{ $i }}.{{ $name }}-headless:6222
    {{- end }}
  ]
}
{{- end }}
{{ end -}}

{{/* "256Mi" as NATS writes sizes: MiB are its MB of 1024 * 1024. */}}
{{- define "tickwire.bytes" -}}
{{- . | replace "Ki" "KB" | replace "Mi" "MB" | replace "Gi" "GB" | replace "Ti" "TB" -}}
{{- end -}}
