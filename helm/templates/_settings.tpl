{{/* Settings of the programs, for their ConfigMaps. Each program gets its own only: it refuses what it does not know. */}}

{{- define "tickwire.commonConfig" -}}
TICKWIRE_LOG__FORMAT: {{ .Values.log.format | quote }}
TICKWIRE_LOG__FILTER: {{ .Values.log.filter | quote }}
{{- with .Values.otlpEndpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{ include "tickwire.natsConfig" . }}
{{- end -}}

{{- define "tickwire.ingestorConfig" -}}
{{ include "tickwire.commonConfig" . }}
TICKWIRE_ADMIN__LISTEN: "0.0.0.0:9091"
TICKWIRE_NATS__REPLICAS: {{ ternary (min 3 (int .Values.nats.replicas)) (int .Values.externalNats.streamReplicas) .Values.nats.enabled | quote }}
TICKWIRE_DRAIN__GRACE_SECONDS: {{ .Values.ingestor.drainSeconds | quote }}
{{- $exchange := printf "%s-exchange:9900" (include "tickwire.fullname" .) }}
{{- $simulated := .Values.simulatedExchange.enabled }}
{{- range $id, $venue := .Values.venues }}
{{- if $venue.symbols }}
{{- $prefix := printf "TICKWIRE_VENUES__%s__" ($id | upper | replace "-" "_") }}
{{ $prefix }}SYMBOLS: {{ $venue.symbols | quote }}
{{- /* KuCoin's REST answer says where its sockets are. */}}
{{- $simulatedWs := ternary "" (printf "ws://%s/%s" $exchange $id) (eq $id "kucoin") }}
{{- with ternary $simulatedWs $venue.wsUrl $simulated }}
{{ $prefix }}WS_URL: {{ . | quote }}
{{- end }}
{{- with ternary (printf "http://%s/%s" $exchange $id) $venue.restUrl $simulated }}
{{ $prefix }}REST_URL: {{ . | quote }}
{{- end }}
{{- /* Helm reads large numbers as floats and would write 1e+06. */}}
{{- range $name, $value := $venue.settings }}
{{ $prefix }}{{ upper $name }}: {{ ternary $value (int64 $value) (or (kindIs "string" $value) (kindIs "bool" $value)) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tickwire.edgeConfig" -}}
{{ include "tickwire.commonConfig" . }}
TICKWIRE_ADMIN__LISTEN: "0.0.0.0:9090"
TICKWIRE_EDGE__LISTEN: "0.0.0.0:8080"
TICKWIRE_DRAIN__GRACE_SECONDS: {{ .Values.edge.drainSeconds | quote }}
TICKWIRE_EDGE__DRAIN_SPREAD_SECONDS: {{ .Values.edge.drainSpreadSeconds | quote }}
{{- with .Values.edge.workers }}
TICKWIRE_EDGE__WORKERS: {{ . | quote }}
{{- end }}
TICKWIRE_EDGE__PING_SECONDS: {{ .Values.edge.pingSeconds | quote }}
{{- /* Helm reads large numbers as floats and would write 1e+06. */}}
{{- with .Values.edge.limits }}
TICKWIRE_EDGE__CONNECTIONS_MAX: {{ int64 .connections | quote }}
TICKWIRE_EDGE__CONNECTIONS_PER_ADDRESS_MAX: {{ int64 .connectionsPerAddress | quote }}
{{- with .trustedProxies }}
TICKWIRE_EDGE__TRUSTED_PROXIES: {{ join "," . | quote }}
{{- end }}
TICKWIRE_EDGE__HANDSHAKES_MAX: {{ int64 .handshakes | quote }}
TICKWIRE_EDGE__HANDSHAKE_SECONDS: {{ .handshakeSeconds | quote }}
TICKWIRE_EDGE__MESSAGE_BYTES_MAX: {{ int64 .messageBytes | quote }}
TICKWIRE_EDGE__MESSAGES_PER_SECOND_MAX: {{ int64 .messagesPerSecond | quote }}
TICKWIRE_EDGE__MESSAGES_BURST_MAX: {{ int64 .messagesBurst | quote }}
TICKWIRE_EDGE__SYMBOLS_PER_REQUEST_MAX: {{ int64 .symbolsPerRequest | quote }}
TICKWIRE_EDGE__SYMBOLS_MAX: {{ int64 .symbols | quote }}
TICKWIRE_EDGE__MEMORY_MAX_MB: {{ ternary .memoryMb (int64 .memoryMb) (kindIs "string" .memoryMb) | quote }}
{{- end }}
{{- if .Values.edge.openSymbols }}
TICKWIRE_EDGE__OPEN_SYMBOLS: "true"
{{- end }}
{{- if .Values.simulatedExchange.enabled }}
TICKWIRE_EDGE__LABEL: SIMULATED
{{- end }}
{{- end -}}

{{/* The topic that the test subscribes to: tests.symbols, or the first listed symbol of the first venue. */}}
{{- define "tickwire.testSymbols" -}}
{{- $found := .Values.tests.symbols -}}
{{- range $id, $venue := .Values.venues -}}
{{- if and (not $found) $venue.symbols (not (has $venue.symbols (list "all" "demand"))) -}}
{{- $found = printf "%s:%s" $id (first (splitList "," $venue.symbols) | trim) -}}
{{- end -}}
{{- end -}}
{{- default "binance:BTC/USDT" $found -}}
{{- end -}}
