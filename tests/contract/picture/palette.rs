//! The colours of the picture, on light pages and on dark ones.

/// The colours, by their use.
pub struct Palette {
    pub file: &'static str,
    back: &'static str,
    panel: &'static str,
    edge: &'static str,
    text: &'static str,
    muted: &'static str,
    http: &'static str,
    rpc: &'static str,
    message: &'static str,
    busy: &'static str,
}

pub const LIGHT: Palette = Palette {
    file: "flows-light.svg",
    back: "#ffffff",
    panel: "#f6f8fa",
    edge: "#d0d7de",
    text: "#1f2328",
    muted: "#59636e",
    http: "#0756c1",
    rpc: "#0f6b3a",
    message: "#b04700",
    busy: "#cbd5e1",
};

pub const DARK: Palette = Palette {
    file: "flows-dark.svg",
    back: "#0d1117",
    panel: "#151b23",
    edge: "#3d444d",
    text: "#f0f6fc",
    muted: "#a3adb8",
    http: "#71b1ff",
    rpc: "#5fd38d",
    message: "#ffa657",
    busy: "#4a5563",
};

impl Palette {
    /// The style sheet that goes into the picture.
    pub fn style(&self) -> String {
        let Self { back, panel, edge, text, muted, http, rpc, message, busy, .. } = self;
        format!(
            "<style>
text {{ font: 11px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: {text}; }}
.name {{ font-size: 15px; font-weight: 600; }}
.cost {{ font-weight: 600; }}
.muted {{ fill: {muted}; }}
.middle {{ text-anchor: middle; }}
.end {{ text-anchor: end; }}
.over {{ paint-order: stroke; stroke: {panel}; stroke-width: 4px; stroke-linejoin: round; }}
.back {{ fill: {back}; }}
.panel {{ fill: {panel}; stroke: {edge}; }}
.head {{ fill: {back}; stroke: {edge}; }}
.life {{ stroke: {edge}; stroke-width: 1.5; }}
.busy {{ fill: {busy}; }}
.dot {{ fill: {text}; stroke: {panel}; stroke-width: 1.5; }}
.http, .rpc, .message, .client {{ fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }}
.http {{ stroke: {http}; }}
.rpc {{ stroke: {rpc}; }}
.message {{ stroke: {message}; }}
.client {{ stroke: {muted}; }}
path.message {{ stroke-dasharray: 5 4; }}
.tip {{ stroke-dasharray: none; }}
.http.tip {{ fill: {http}; }}
.rpc.tip {{ fill: {rpc}; }}
.client.tip {{ fill: {muted}; }}
text.http {{ fill: {http}; stroke: {panel}; }}
text.rpc {{ fill: {rpc}; stroke: {panel}; }}
text.message {{ fill: {message}; stroke: {panel}; }}
text.http, text.rpc, text.message {{ stroke-width: 4px; }}
</style>
"
        )
    }
}
