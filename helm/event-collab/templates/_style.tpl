{{/* What makes the style: who calls whom, by which protocol, and who uses Kafka. */}}
{{- define "style" -}}
kafka: [billing, gateway, notification, order]
protocol: http
calls:
  # Reads, and what is passed on in every style.
  gateway: [billing, notification, order]
  # Fat events: nobody asks anybody.
  order: []
  billing: []
  notification: []
{{- end }}
