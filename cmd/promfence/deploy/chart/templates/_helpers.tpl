{{- define "promfence.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "promfence.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "promfence.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "promfence.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "promfence.selector" -}}
app.kubernetes.io/name: {{ include "promfence.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "promfence.labels" -}}
{{ include "promfence.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "promfence.metadata" -}}
name: {{ include "promfence.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "promfence.labels" . | nindent 2 }}
{{- end -}}

{{- define "promfence.metricsName" -}}
{{- printf "%s-metrics" (include "promfence.fullname" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}

{{- define "promfence.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "promfence.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "promfence.scheme" -}}
{{- ternary "https" "http" (ne .Values.tls.secretName "") -}}
{{- end -}}

{{- define "promfence.servicePort" -}}
{{- default (ternary 443 80 (ne .Values.tls.secretName "")) .Values.service.port -}}
{{- end -}}

{{- /* The settings: what the chart decides wins over values, and values over what it proposes. */ -}}
{{- define "promfence.settings" -}}
{{- $settings := deepCopy .Values.config -}}
{{- $fixed := dict "admin" (dict "address" ":8081") -}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $fixed "server" (dict "tls" (dict "cert_file" "/etc/promfence-tls/tls.crt" "key_file" "/etc/promfence-tls/tls.key")) -}}
{{- end -}}
{{- if .Values.decision.enabled -}}
{{- $_ := set $fixed "decision" (dict "address" ":8082") -}}
{{- end -}}
{{- if .Values.thanosQuery.enabled -}}
{{- $_ := set $fixed "upstream" (dict "url" "http://127.0.0.1:10902") -}}
{{- end -}}
{{- toYaml (mergeOverwrite $settings $fixed) -}}
{{- end -}}

{{- /* Seconds of a duration as Prometheus spells it. */ -}}
{{- define "promfence.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhdw])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $unit (regexFind "[a-z]+$" .) | default 0 | int64)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* shutdown_delay, shutdown_timeout, and some. */ -}}
{{- define "promfence.grace" -}}
{{- add 15 (include "promfence.seconds" .Values.config.server.shutdown_delay | int64) (include "promfence.seconds" .Values.config.server.shutdown_timeout | int64) -}}
{{- end -}}

{{- /* What the settings allow to need, in MiB, as config.WorstCaseMemory says it; a fifth more, for Go's collector to aim at. */ -}}
{{- define "promfence.goal" -}}
{{- $mib := 1048576 -}}
{{- $connection := add 196608 (mul 2 (.Values.config.server.max_header_bytes | int64)) -}}
{{- $bodies := div (mul 7 (max 33554432 (.Values.config.limits.max_body_bytes | int64))) 2 -}}
{{- $worst := add (mul 64 $mib) (mul (.Values.config.server.max_connections | int64) $connection) $bodies -}}
{{- mul 16 (add 1 (div (div (mul $worst 6) 5) (mul 16 $mib))) -}}
{{- end -}}

{{- /* The memory limit in MiB: a quarter above the goal, or what values say. */ -}}
{{- define "promfence.limit" -}}
{{- $limit := mul 64 (add 1 (div (div (mul 5 (include "promfence.goal" . | int64)) 4) 64)) -}}
{{- $given := get .Values.resources.limits "memory" | default "" -}}
{{- if $given -}}
{{- $mi := mul (regexFind "^[0-9]+" $given | int64) (ternary 1024 1 (hasSuffix "Gi" $given)) -}}
{{- if lt $mi $limit -}}
{{- fail (printf "resources.limits.memory is %s, and what config allows (server.max_connections, server.max_header_bytes, limits.max_body_bytes) takes %dMi: raise it, or lower those" $given $limit) -}}
{{- end -}}
{{- $limit = $mi -}}
{{- end -}}
{{- $limit -}}
{{- end -}}
