{{/* Sets the number of a service's pods by how busy they are, and keeps it within bounds. */}}
{{- define "common.autoscaler" -}}
{{- $autoscaling := (index .root.Values.services .part).autoscaling }}
{{- if gt (int $autoscaling.minReplicas) (int $autoscaling.maxReplicas) }}
{{- fail (printf "services.%s.autoscaling: minReplicas is more than maxReplicas" .part) }}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "common.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "common.name" . }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: AverageValue
          averageValue: {{ $autoscaling.averageCPU | quote }}
{{- end }}
