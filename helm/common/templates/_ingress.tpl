{{/*
The way in from outside. The gateway knows nothing of a path prefix, so it has to be taken off on the way, for which every kind
of ingress controller has words of its own.
*/}}
{{- define "common.ingress" -}}
{{- with .Values.ingress }}
{{- if .enabled }}
{{- $context := dict "root" $ "part" "gateway" }}
{{- $name := include "common.name" $context }}
{{- $prefix := .pathPrefix | trimSuffix "/" }}
{{- $annotations := dict }}
{{- $path := $prefix | default "/" }}
{{- $pathType := "Prefix" }}
{{- if and $prefix (eq .rewrite "nginx") }}
{{- $path = printf "%s(/|$)(.*)" $prefix }}
{{- $pathType = "ImplementationSpecific" }}
{{- $annotations = dict "nginx.ingress.kubernetes.io/use-regex" "true" "nginx.ingress.kubernetes.io/rewrite-target" "/$2" }}
{{- else if and $prefix (eq .rewrite "traefik") }}
{{- $annotations = dict "traefik.ingress.kubernetes.io/router.middlewares" (printf "%s-%s@kubernetescrd" $.Release.Namespace $name) }}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
spec:
  stripPrefix:
    prefixes:
      - {{ $prefix }}
{{- end }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
  {{- with mustMergeOverwrite $annotations .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .tlsSecret }}
  tls:
    - hosts:
        - {{ $.Values.ingress.host }}
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .host }}
      http:
        paths:
          - path: {{ $path }}
            pathType: {{ $pathType }}
            backend:
              service:
                name: {{ $name }}
                port:
                  name: http
{{- end }}
{{- end }}
{{- end }}
