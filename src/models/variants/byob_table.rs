//! The published ResNets of timm's `byobnet`.

use super::byob::{Attention, Byob, ByobFeatures, ByobGate, ByobPool, ByobStage};

/// Four stages of bottlenecks with a quarter of the channels inside.
fn bottlenecks(depths: [usize; 4], channels: [usize; 4], group: usize) -> Vec<ByobStage> {
    let stage = |(s, (depth, channels)): (usize, (usize, usize))| {
        let (width, stride) = (channels / 4, if s == 0 { 1 } else { 2 });
        ByobStage { depth, channels, width, group, edge: false, stride }
    };
    depths.into_iter().zip(channels).enumerate().map(stage).collect()
}

type ClipRow = ([&'static str; 2], usize, [usize; 4], usize, usize);

/// Names with attention pooling and with the mean, width in eighths, depths, rows of the last map, features of attention.
const CLIP: [ClipRow; 5] = [
    (["resnet50_clip", "resnet50_clip_gap"], 8, [3, 4, 6, 3], 7, 1024),
    (["resnet101_clip", "resnet101_clip_gap"], 8, [3, 4, 23, 3], 7, 512),
    (["resnet50x4_clip", "resnet50x4_clip_gap"], 10, [4, 6, 10, 6], 9, 640),
    (["resnet50x16_clip", "resnet50x16_clip_gap"], 12, [6, 8, 18, 8], 12, 768),
    (["resnet50x64_clip", "resnet50x64_clip_gap"], 16, [3, 15, 36, 10], 14, 1024),
];

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, Byob)> {
    use ByobGate::{Eca, GlobalContext, SqueezeExcite};
    let usual = [256, 512, 1024, 2048];
    let short = [256, 512, 1536, 1536];
    let tiered = Byob {
        stem: vec![24, 32, 64],
        bare: 0,
        stem_pool: ByobPool::Max,
        stages: bottlenecks([2; 4], usual, 32),
        gate: ByobGate::None,
        pools: false,
        extra_conv: false,
        last: None,
        silu: true,
        features: ByobFeatures::Pooled,
    };
    let thirty_two = Byob { stages: bottlenecks([2, 3, 3, 2], short, 0), stem_pool: ByobPool::None, ..tiered.clone() };
    let thirty_three = Byob { last: Some(1280), ..thirty_two.clone() };
    let wide_last = |first: ByobStage, depths: [usize; 4]| {
        let mut stages = bottlenecks(depths, short, 32);
        stages[0] = ByobStage { depth: depths[0], ..first };
        stages[3] = ByobStage { width: 1536, group: 1, ..stages[3] };
        stages
    };
    let first = ByobStage { depth: 2, channels: 256, width: 64, group: 32, edge: false, stride: 1 };
    let quad = Byob {
        stem: vec![16, 32, 64, 128],
        bare: 2,
        stages: wide_last(first, [2, 4, 6, 4]),
        last: Some(2048),
        ..thirty_two.clone()
    };
    let edge = ByobStage { width: 256, group: 0, edge: true, ..first };
    let sixty_one = Byob { bare: 0, stages: wide_last(edge, [1, 4, 6, 4]), extra_conv: true, ..quad.clone() };
    let clip = move |eighths: usize, depths| Byob {
        stem: [32, 32, 64].map(|channels| channels * eighths / 8).into(),
        bare: 0,
        stem_pool: ByobPool::Mean,
        stages: bottlenecks(depths, usual.map(|channels| channels * eighths / 8), 0),
        gate: ByobGate::None,
        pools: true,
        extra_conv: false,
        last: None,
        silu: false,
        features: ByobFeatures::Pooled,
    };
    let clips = CLIP.into_iter().flat_map(move |([asking, plain], eighths, depths, side, outputs)| {
        let mean = clip(eighths, depths);
        let features = ByobFeatures::Attended(Attention { side, outputs: Some(outputs) });
        [(asking, Byob { features, ..mean.clone() }), (plain, mean)]
    });
    let hidden = Byob { features: ByobFeatures::Hidden(1024), ..clip(8, [3, 4, 6, 3]) };
    [
        ("resnet50_mlp", hidden),
        ("resnet51q", quad),
        ("resnet61q", sixty_one),
        ("resnext26ts", tiered.clone()),
        ("seresnext26ts", Byob { gate: SqueezeExcite, ..tiered.clone() }),
        ("eca_resnext26ts", Byob { gate: Eca, ..tiered.clone() }),
        ("gcresnext26ts", Byob { gate: GlobalContext, ..tiered.clone() }),
        ("gcresnext50ts", Byob { gate: GlobalContext, stages: bottlenecks([3, 4, 6, 3], usual, 32), ..tiered }),
        ("resnet32ts", thirty_two.clone()),
        (
            "gcresnet50t",
            Byob { gate: GlobalContext, silu: false, stages: bottlenecks([3, 4, 6, 3], usual, 0), ..thirty_two },
        ),
        ("resnet33ts", thirty_three.clone()),
        ("seresnet33ts", Byob { gate: SqueezeExcite, ..thirty_three.clone() }),
        ("gcresnet33ts", Byob { gate: GlobalContext, ..thirty_three.clone() }),
        ("eca_resnet33ts", Byob { gate: Eca, ..thirty_three }),
    ]
    .into_iter()
    .chain(clips)
}
