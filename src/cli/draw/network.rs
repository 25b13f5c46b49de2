//! Draws a network: its layers with shapes and fused operators, and the connections that skip layers.

use std::{collections::BTreeMap, fmt::Write};

use residua::{
    graph::{Conv2dParams, Plain, ValueId},
    network::{Activation, Epilogue, Gate, Layer, LayerOp, Network},
    program::svg::{CHARACTER, Svg, fill, series},
    tensor::Shape,
};

/// Largest number of rows in a column; a longer stage takes several columns.
const ROWS: usize = 42;
/// Pixels between rows, between lanes beside a column, and around the picture.
const GAP: f64 = 9.0;
const LANE: f64 = 9.0;
const MARGIN: f64 = 24.0;

/// Draws the network for an input of shape `input`, under `title`.
pub(crate) fn draw(network: &Network, input: Shape, title: &[String]) -> residua::Result<String> {
    let shapes = network.graph().infer_shapes(input)?;
    let columns: Vec<Column> =
        columns(network).into_iter().map(|(name, layers)| Column::new(name, layers, network, &shapes)).collect();
    let top = MARGIN + 18.0 * title.len() as f64 + 24.0;
    let width = columns.iter().map(Column::width).sum::<f64>() + 2.0 * MARGIN;
    let height = top + columns.iter().map(Column::height).fold(0.0, f64::max) + 50.0;
    let mut svg = Svg::new(width.max(760.0), height);
    for (i, line) in title.iter().enumerate() {
        svg.text(MARGIN, MARGIN + 18.0 * i as f64, if i == 0 { "bold" } else { "muted" }, line);
    }
    let mut x = MARGIN;
    for column in &columns {
        column.draw(&mut svg, x, top);
        x += column.width();
    }
    legend(&mut svg, height - 22.0);
    Ok(svg.finish())
}

/// Layers, grouped by stage. A stage of one or two layers joins the previous stage, or the next if it is the first; a stage with too many
/// layers is split evenly.
fn columns(network: &Network) -> Vec<(String, Vec<&Layer>)> {
    let stages = network.graph().stages();
    let mut groups: Vec<(String, Vec<&Layer>)> = Vec::new();
    for layer in network.layers() {
        let stage = stages.iter().find(|(_, end)| layer.output <= *end).map_or("head", |(name, _)| name.as_str());
        match groups.last_mut() {
            Some((name, layers)) if name == stage => layers.push(layer),
            _ => groups.push((stage.into(), vec![layer])),
        }
    }
    let mut joined: Vec<(String, Vec<&Layer>)> = Vec::new();
    for (name, layers) in groups {
        match joined.last_mut() {
            Some((names, before)) if layers.len() <= 2 || before.len() <= 2 => {
                let _ = write!(names, ", {name}");
                before.extend(layers);
            }
            _ => joined.push((name, layers)),
        }
    }
    joined.into_iter().flat_map(split).collect()
}

/// Splits a column with too many rows into even parts.
fn split<'a>((name, layers): (String, Vec<&'a Layer>)) -> Vec<(String, Vec<&'a Layer>)> {
    let rows = layers.len().div_ceil(layers.len().div_ceil(ROWS));
    let part = |(i, part): (usize, &[&'a Layer])| {
        (if i == 0 { name.clone() } else { format!("{name} (continued)") }, part.to_vec())
    };
    layers.chunks(rows).enumerate().map(part).collect()
}

/// A box, or a value that a column takes from earlier columns.
struct Row {
    name: String,
    shape: String,
    /// The second line of text.
    does: String,
    /// The colour of the layer's kind; `None` for a value from an earlier column.
    kind: Option<usize>,
    value: ValueId,
    /// Rows in this column that it reads.
    reads: Vec<usize>,
    top: f64,
    height: f64,
}

impl Row {
    fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

struct Column {
    name: String,
    rows: Vec<Row>,
    /// Connections that skip rows: from, to, lane.
    skips: Vec<(usize, usize, usize)>,
    box_width: f64,
}

impl Column {
    fn new(name: String, layers: Vec<&Layer>, network: &Network, shapes: &[Shape]) -> Self {
        let own: Vec<ValueId> = layers.iter().map(|layer| layer.output).collect();
        let mut taken: BTreeMap<ValueId, usize> = BTreeMap::new();
        for id in layers.iter().flat_map(|layer| layer.reads()).filter(|id| !own.contains(id)) {
            let next = taken.len();
            taken.entry(id).or_insert(next);
        }
        let mut values: Vec<ValueId> = taken.keys().copied().collect();
        values.sort();
        let mut rows: Vec<Row> = values.iter().map(|id| Row::taken(*id, network, shapes)).collect();
        values.extend(&own);
        for layer in layers {
            let mut reads: Vec<usize> =
                layer.reads().filter_map(|id| values.iter().position(|value| *value == id)).collect();
            reads.sort_unstable();
            reads.dedup();
            rows.push(Row::layer(layer, shapes, reads));
        }
        let mut y = 0.0;
        for row in &mut rows {
            row.top = y;
            y += row.height + GAP;
        }
        let characters =
            |row: &Row| (row.name.chars().count() + row.shape.chars().count() + 2).max(row.does.chars().count());
        let widest = rows.iter().map(characters).max().unwrap_or(0).max(name.chars().count());
        let mut column = Column { name, rows, skips: Vec::new(), box_width: widest as f64 * CHARACTER + 20.0 };
        column.place_skips();
        column
    }

    /// Assigns to each connection that skips rows the innermost lane that is free over its whole length.
    fn place_skips(&mut self) {
        let mut lanes: Vec<usize> = Vec::new();
        for (to, row) in self.rows.iter().enumerate() {
            for &from in row.reads.iter().filter(|&&from| from + 1 < to) {
                self.skips.push((from, to, 0));
            }
        }
        self.skips.sort_unstable();
        for (from, to, lane) in &mut self.skips {
            *lane = lanes.iter().position(|&busy_until| busy_until <= *from).unwrap_or(lanes.len());
            if *lane == lanes.len() {
                lanes.push(0);
            }
            lanes[*lane] = *to;
        }
    }

    fn width(&self) -> f64 {
        let lanes = self.skips.iter().map(|(_, _, lane)| lane + 1).max().unwrap_or(0);
        self.box_width + lanes as f64 * LANE + 40.0
    }

    fn height(&self) -> f64 {
        self.rows.last().map_or(0.0, Row::bottom)
    }

    fn draw(&self, svg: &mut Svg, x: f64, top: f64) {
        svg.text(x, top - 10.0, "bold", &self.name);
        for row in &self.rows {
            row.draw(svg, x, top, self.box_width);
        }
        for (to, row) in self.rows.iter().enumerate() {
            if to > 0 && row.reads.contains(&(to - 1)) {
                let (x, from, to) = (x + self.box_width / 2.0, top + self.rows[to - 1].bottom(), top + row.top);
                svg.path(&format!("M{x:.1} {from:.1}V{to:.1}m-3 -4l3 4l3 -4"), "line");
            }
        }
        for &(from, to, lane) in &self.skips {
            let right = x + self.box_width;
            let out = right + 10.0 + lane as f64 * LANE;
            let leaves = top + self.rows[from].bottom() - 5.0;
            let enters = top + self.rows[to].top + 7.0;
            let (down, up) = (leaves + 4.0, enters - 4.0);
            svg.path(
                &format!(
                    "M{right:.1} {leaves:.1}H{:.1}Q{out:.1} {leaves:.1} {out:.1} {down:.1}V{up:.1}Q{out:.1} {enters:.1} {:.1} {enters:.1}H{right:.1}m4 -3l-4 3l4 3",
                    out - 4.0,
                    out - 4.0
                ),
                &series(SKIP),
            );
        }
    }
}

/// Colours of the kinds of layers, and of values read again further down.
const KINDS: [(usize, &str); 5] =
    [(0, "convolution"), (2, "pooling"), (3, "linear"), (5, "elementwise"), (4, "concatenation")];
const SKIP: usize = 1;

impl Row {
    fn taken(value: ValueId, network: &Network, shapes: &[Shape]) -> Self {
        let name = format!("from {}", network.graph().nodes()[value.0].name);
        let (shape, does) = (extent(shapes[value.0]), String::new());
        Row { name, shape, does, kind: None, value, reads: Vec::new(), top: 0.0, height: 18.0 }
    }

    fn layer(layer: &Layer, shapes: &[Shape], reads: Vec<usize>) -> Self {
        let (kind, does) = describe(layer);
        let height = if does.is_empty() { 18.0 } else { 32.0 };
        let (name, shape) = (layer.name.clone(), extent(shapes[layer.output.0]));
        Row { name, shape, does, kind: Some(kind), value: layer.output, reads, top: 0.0, height }
    }

    fn draw(&self, svg: &mut Svg, x: f64, top: f64, width: f64) {
        let y = top + self.top;
        let title = format!("%{} {} {} {}", self.value.0, self.name, self.shape, self.does);
        match self.kind {
            Some(kind) => {
                svg.rect([x, y, width, self.height], "box", title.trim());
                svg.rect([x, y, 4.0, self.height], &fill(kind), "");
            }
            None => svg.rect([x, y, width, self.height], "box dashed", title.trim()),
        }
        svg.text(x + 10.0, y + 13.0, if self.kind.is_some() { "ink" } else { "muted" }, &self.name);
        svg.anchored(x + width - 6.0, y + 13.0, "muted", "end", &self.shape);
        if !self.does.is_empty() {
            svg.text(x + 10.0, y + 26.0, "muted", &self.does);
        }
    }
}

/// Kind and second line of a layer.
fn describe(layer: &Layer) -> (usize, String) {
    let before = |prologue: bool| if prologue { "bn relu + " } else { "" };
    match &layer.op {
        LayerOp::Conv2d { prologue, weights, params, epilogue } => {
            let norm = if weights.norm.is_some() { " + bn" } else { "" };
            let text = format!("{}{}{norm}{}", before(prologue.is_some()), convolution(params), after(epilogue));
            (0, text)
        }
        LayerOp::Block { params, .. } => (0, format!("twice {} + add + relu", convolution(params))),
        LayerOp::Pool2d { prologue, max, params } => {
            let kind = if *max { "maximum" } else { "mean" };
            (2, format!("{}{kind} {}x{}/{}", before(prologue.is_some()), params.kernel, params.kernel, params.stride))
        }
        LayerOp::Plain { op, weights: Some(_) } => (3, op.to_string()),
        LayerOp::Plain { op: op @ Plain::Activation(_), .. } => (5, op.to_string()),
        LayerOp::Plain { op, .. } => (2, op.to_string()),
        LayerOp::Elementwise { norm, gate, epilogue } => {
            let gate = match gate {
                Some(Gate::Scale) => "gate",
                Some(Gate::Shift) => "shift",
                None => "",
            };
            let norm = if norm.is_some() { "bn" } else { "" };
            (5, format!("{gate}{norm}{}", after(epilogue)).trim_start_matches(" + ").into())
        }
        LayerOp::Concat => (4, String::new()),
    }
}

fn convolution(params: &Conv2dParams) -> String {
    let Conv2dParams { in_channels, out_channels, kernel, stride, dilation, groups, .. } = params;
    let stride = if *stride > 1 { format!("/{stride}") } else { String::new() };
    let groups = if *groups > 1 { format!(" in {groups} groups") } else { String::new() };
    let dilation = if *dilation > 1 { format!(" dilated by {dilation}") } else { String::new() };
    format!("{kernel}x{kernel}{stride}{dilation} {in_channels} -> {out_channels}{groups}")
}

fn after(epilogue: &Epilogue) -> String {
    let mut text = String::new();
    if let Some(residual) = &epilogue.residual {
        text.push_str(if residual.subsample.is_some() { " + shortcut A" } else { " + add" });
    }
    match epilogue.activation {
        Activation::None => {}
        Activation::Relu => text.push_str(" + relu"),
        Activation::Sigmoid => text.push_str(" + sigmoid"),
    }
    text
}

fn extent(shape: Shape) -> String {
    format!("{}x{}x{}", shape.c, shape.h, shape.w)
}

fn legend(svg: &mut Svg, y: f64) {
    let mut x = MARGIN;
    for (kind, name) in KINDS {
        svg.rect([x, y - 9.0, 10.0, 10.0], &fill(kind), "");
        svg.text(x + 16.0, y, "muted", name);
        x += 16.0 + name.chars().count() as f64 * CHARACTER + 24.0;
    }
    svg.path(&format!("M{x:.1} {:.1}h24", y - 4.0), &series(SKIP));
    svg.text(x + 30.0, y, "muted", "read again further down");
}
