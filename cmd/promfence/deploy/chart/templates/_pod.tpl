{{- define "promfence.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "promfence.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Thanos stops listening at its first SIGTERM. As a container that starts before
promfence it gets that when promfence has ended, and not while requests still come
in. The kubelet does not reach loopback: wget is in Thanos's image. */ -}}
{{- define "promfence.thanos" -}}
- name: thanos-query
  restartPolicy: Always
  image: {{ .Values.thanosQuery.image }}
  args:
    - query
    - --http-address=127.0.0.1:10902
    - --grpc-address=127.0.0.1:10901
    {{- range .Values.thanosQuery.endpoints }}
    - --endpoint={{ . }}
    {{- end }}
    {{- with .Values.thanosQuery.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext:
    {{- include "promfence.restricted" . | nindent 4 }}
  startupProbe:
    exec: {command: [wget, -q, -O, /dev/null, -T, "5", "http://127.0.0.1:10902/-/healthy"]}
    timeoutSeconds: 6
  livenessProbe:
    exec: {command: [wget, -q, -O, /dev/null, -T, "5", "http://127.0.0.1:10902/-/healthy"]}
    timeoutSeconds: 6
  readinessProbe:
    exec: {command: [wget, -q, -O, /dev/null, -T, "5", "http://127.0.0.1:10902/-/ready"]}
    timeoutSeconds: 6
  resources:
    {{- toYaml .Values.thanosQuery.resources | nindent 4 }}
{{- end -}}
