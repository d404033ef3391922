{{/*
Who may talk to whom, and nobody else: the style, held by the network. A policy for each part says from whom it takes
connections and to whom it opens them. Both ends come from one list of edges.
*/}}
{{- define "common.network" -}}
{{- if .Values.networkPolicy.enabled }}
{{- $edges := include "common.edges" . | fromYamlArray }}
{{- range $part := include "common.parts" . | fromYamlArray }}
{{- $context := dict "root" $ "part" $part }}
{{- $service := has $part (include "common.services" $ | fromYamlArray) }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "common.selector" $context | nindent 6 }}
  # What is not listed below is refused. The kubelet's probes come from the node and are let in by every common network plugin.
  policyTypes: [Ingress, Egress]
  {{- $rules := list }}
  {{- range $edge := $edges }}
  {{- if eq $edge.to $part }}
  {{- $from := include "common.peer" (dict "root" $ "part" $edge.from) | fromYaml }}
  {{- $rules = append $rules (dict "from" (list $from) "ports" (list (dict "port" $edge.port))) }}
  {{- end }}
  {{- end }}
  {{- if eq $part "gateway" }}
  {{- /* No `from` at all is everybody; an empty one would be, too. */}}
  {{- $rule := dict "ports" (list (dict "port" 8080)) }}
  {{- with $.Values.networkPolicy.clients }}
  {{- $_ := set $rule "from" . }}
  {{- end }}
  {{- $rules = append $rules $rule }}
  {{- end }}
  {{- if $service }}
  {{- with $.Values.networkPolicy.scrapers }}
  {{- $rules = append $rules (dict "from" . "ports" (list (dict "port" 8080))) }}
  {{- end }}
  {{- end }}
  {{- with $rules }}
  ingress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $rules = list }}
  {{- range $edge := $edges }}
  {{- if eq $edge.from $part }}
  {{- $rule := dict "ports" (list (dict "port" $edge.port)) }}
  {{- if $edge.to }}
  {{- $_ := set $rule "to" (list (include "common.peer" (dict "root" $ "part" $edge.to) | fromYaml)) }}
  {{- else if $edge.peers }}
  {{- $_ := set $rule "to" $edge.peers }}
  {{- end }}
  {{- $rules = append $rules $rule }}
  {{- end }}
  {{- end }}
  {{- if $rules }}
  {{- /* Names have to be looked up. Anywhere: caches of DNS listen on addresses of the node, which no selector matches. */}}
  {{- $rules = append $rules (dict "ports" (list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP"))) }}
  {{- end }}
  {{- if $service }}
  {{- $rules = concat $rules $.Values.networkPolicy.egress }}
  {{- end }}
  {{- with $rules }}
  egress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "common.peer" -}}
podSelector:
  matchLabels:
    {{- include "common.selector" . | nindent 4 }}
{{- end }}

{{/* Everything in this installation that has pods. */}}
{{- define "common.parts" -}}
{{- $style := include "style" . | fromYaml }}
{{- $parts := include "common.services" . | fromYamlArray }}
{{- if .Values.postgresql.enabled }}
{{- $parts = append $parts "database" }}
{{- end }}
{{- if and $style.kafka .Values.kafka.enabled }}
{{- $parts = append $parts "kafka" }}
{{- end }}
{{- if .Values.mail.enabled }}
{{- $parts = append $parts "mail" }}
{{- end }}
{{- append $parts "test" | toYaml }}
{{- end }}

{{/* All connections, by who opens them. One without `to` leaves the installation: to `peers`, or anywhere if there are none. */}}
{{- define "common.edges" -}}
{{- $style := include "style" . | fromYaml }}
{{- $edges := list (dict "from" "test" "to" "gateway" "port" 8080) }}
{{- range $from, $calls := $style.calls }}
{{- range $to := $calls }}
{{- $edges = append $edges (dict "from" $from "to" $to "port" 8080) }}
{{- end }}
{{- end }}
{{- range $owner := include "common.owners" . | fromYamlArray }}
{{- if $.Values.postgresql.enabled }}
{{- $edges = append $edges (dict "from" $owner "to" "database" "port" 5432) }}
{{- else }}
{{- $edges = append $edges (dict "from" $owner "port" $.Values.postgresql.external.port "peers" $.Values.postgresql.external.peers) }}
{{- end }}
{{- end }}
{{- range $service := $style.kafka }}
{{- if $.Values.kafka.enabled }}
{{- $edges = append $edges (dict "from" $service "to" "kafka" "port" 9092) }}
{{- else }}
{{- range $port := regexFindAll ":[0-9]+" (include "common.kafka-brokers" $) -1 | uniq }}
{{- $edges = append $edges (dict "from" $service "port" (trimPrefix ":" $port | int) "peers" $.Values.kafka.external.peers) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.mail.enabled }}
{{- $edges = append $edges (dict "from" "notification" "to" "mail" "port" 1025) }}
{{- else }}
{{- $edges = append $edges (dict "from" "notification" "port" .Values.mail.external.port "peers" .Values.mail.external.peers) }}
{{- end }}
{{- toYaml $edges }}
{{- end }}
