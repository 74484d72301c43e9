{{/*
The configuration of our own NATS: with a Secret the production configuration of this project, with its accounts and
rights, else one that takes anybody. What is set after the include wins. Ports: 4222 clients, 6222 routes, 8222 monitoring (for probes; no Service has it).
https://docs.nats.io/running-a-nats-service/configuration
*/}}
{{- define "tickwire.natsConf" -}}
{{- $name := printf "%s-nats" (include "tickwire.fullname" .) -}}
{{- $nats := .Values.nats -}}
{{- if $nats.auth.existingSecret -}}
include ./production.conf
{{- else -}}
server_name: $TICKWIRE_NATS_NAME
listen: 0.0.0.0:4222
http: 0.0.0.0:8222
# A slow edge is cut by the server, never a brake on the ingestor.
no_fast_producer_stall: true
write_deadline: "5s"
max_pending: 16MB
lame_duck_grace_period: "10s"
lame_duck_duration: "30s"
{{- end }}
jetstream {
  store_dir: $TICKWIRE_NATS_STORE
  # Every write reaches the disk before it is acknowledged: leases must not roll back when power fails.
  sync_interval: always
  max_buffered_msgs: 100000
  max_memory_store: {{ include "tickwire.bytes" $nats.jetstream.memoryStore }}
  max_file_store: {{ include "tickwire.bytes" $nats.jetstream.fileStore.size }}
}
{{- if gt (int $nats.replicas) 1 }}
cluster {
  name: {{ $name }}
  listen: 0.0.0.0:6222
  # Clients know the Service; addresses of pods would be of no use to them.
  no_advertise: true
  {{- if $nats.auth.existingSecret }}
  authorization { user: route, password: $TICKWIRE_NATS_ROUTE_PASSWORD, timeout: 5 }
  {{- end }}
  routes: [
    {{- range $i := until (int $nats.replicas) }}
    $TICKWIRE_NATS_ROUTE_{{ $i }}
    {{- end }}
  ]
}
{{- end }}
{{ end -}}

{{/* "256Mi" as NATS writes sizes: MiB are its MB of 1024 * 1024. */}}
{{- define "tickwire.bytes" -}}
{{- . | replace "Ki" "KB" | replace "Mi" "MB" | replace "Gi" "GB" | replace "Ti" "TB" -}}
{{- end -}}
