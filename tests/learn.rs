//! Heads that are fitted to features, and measures, against scikit-learn (`golden/make_learn.py`).
#![cfg(feature = "fit")]

use std::fs;

use residua::{
    Error,
    learn::{
        Fitted, Logistic, Rows, Tried, Truth, centroid,
        measures::{Answer, Measures, areas, cuts},
        neighbours,
        tagged::{TagMeasures, Tagged},
    },
};
use serde_json::Value;

/// Features of a row.
const FEATURES: usize = 7;

/// How far coefficients may be from scikit-learn's, as a share of the largest: what issue 15 asks for. Searches stop within a tenth of it.
const TOLERANCE: f64 = 1e-3;

struct Golden(Value);

impl Golden {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/learn.json");
        Golden(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    fn numbers(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(values) => values.iter().flat_map(Golden::numbers).collect(),
            value => vec![value.as_f64().unwrap()],
        }
    }

    fn x(&self) -> Vec<f32> {
        Golden::numbers(&self.0["x"]).into_iter().map(|x| x as f32).collect()
    }

    fn classes(&self) -> Vec<usize> {
        Golden::numbers(&self.0["y"]).into_iter().map(|y| y as usize).collect()
    }

    fn strengths(&self) -> Vec<f64> {
        Golden::numbers(&self.0["strengths"])
    }
}

fn fit(x: &[f32], truth: &Truth, settings: &Logistic) -> Fitted {
    let rows = Rows { values: x, features: FEATURES, views: 1 };
    settings.fit::<Error>(rows, truth, &mut |_| Ok(())).unwrap()
}

/// The weights for standardised features.
fn standardised(x: &[f32], weights: &[f32]) -> Vec<f64> {
    let rows = x.len() / FEATURES;
    let deviation = |feature: usize| {
        let values = || (0..rows).map(|row| f64::from(x[row * FEATURES + feature]));
        let mean = values().sum::<f64>() / rows as f64;
        let deviation = (values().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
        if deviation < 1e-9 { 1.0 } else { deviation }
    };
    let deviations: Vec<f64> = (0..FEATURES).map(deviation).collect();
    weights.iter().zip(deviations.iter().cycle()).map(|(&weight, deviation)| f64::from(weight) * deviation).collect()
}

fn assert_near(name: &str, got: &[f64], expected: &[f64]) {
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert_eq!(got.len(), expected.len(), "{name}");
    assert!(off <= TOLERANCE * largest, "{name}: off by {off}, the largest is {largest}");
}

#[test]
fn coefficients_are_those_of_scikit_learn() {
    let golden = Golden::read();
    let (x, classes) = (golden.x(), golden.classes());
    let truth = Truth { classes: 4, several: false, of: classes.iter().map(|&class| vec![class]).collect() };
    let binary =
        Truth { classes: 2, of: classes.iter().map(|&class| vec![usize::from(class == 1)]).collect(), ..truth };
    let of_tags = |tags: &Value| Golden::numbers(tags).into_iter().map(|tag| tag as usize).collect();
    let tags = golden.0["tags"].as_array().unwrap().iter().map(of_tags).collect();
    let tagged = Truth { classes: 4, several: true, of: tags };
    for (i, strength) in golden.strengths().into_iter().enumerate() {
        let mut settings = Logistic::default();
        settings.strengths = vec![strength];
        let plain = fit(&x, &truth, &settings);
        assert!(plain.converged);
        let expected = Golden::numbers(&golden.0["multinomial"][i]["coef"]);
        assert_near(&format!("multinomial {strength}"), &standardised(&x, &plain.head.weights), &expected);

        let Fitted { head, .. } = fit(&x, &binary, &settings);
        // A sigmoid of z is the second of a softmax of -z/2 and z/2.
        let second: Vec<f64> = standardised(&x, &head.weights)[FEATURES..].iter().map(|weight| 2.0 * weight).collect();
        assert_near(&format!("binary {strength}"), &second, &Golden::numbers(&golden.0["binary"][i]["coef"]));

        let Fitted { head, .. } = fit(&x, &tagged, &settings);
        let each = golden.0["tagged"][i].as_array().unwrap().iter();
        let expected: Vec<f64> = each.flat_map(|tag| Golden::numbers(&tag["coef"])).collect();
        assert_near(&format!("tagged {strength}"), &standardised(&x, &head.weights), &expected);

        settings.balanced = true;
        let Fitted { head, .. } = fit(&x, &truth, &settings);
        let expected = Golden::numbers(&golden.0["balanced"][i]["coef"]);
        assert_near(&format!("balanced {strength}"), &standardised(&x, &head.weights), &expected);
    }
}

#[test]
fn intercepts_make_the_scores_of_scikit_learn() {
    let golden = Golden::read();
    let (x, classes) = (golden.x(), golden.classes());
    let truth = Truth { classes: 4, several: false, of: classes.iter().map(|&class| vec![class]).collect() };
    let mut settings = Logistic::default();
    settings.strengths = vec![1.0];
    let Fitted { head, .. } = fit(&x, &truth, &settings);
    let mean: Vec<f32> =
        (0..FEATURES).map(|i| x.chunks_exact(FEATURES).map(|row| row[i]).sum::<f32>() / classes.len() as f32).collect();
    // At the mean of all features standardised ones are zero, and the intercepts remain.
    let got: Vec<f64> = head.logits(&mean).into_iter().map(f64::from).collect();
    assert_near("intercepts", &got, &Golden::numbers(&golden.0["multinomial"][1]["intercept"]));
}

#[test]
fn folds_and_accuracies_are_those_of_scikit_learn() {
    let golden = Golden::read();
    let (x, classes) = (golden.x(), golden.classes());
    let truth = Truth { classes: 4, several: false, of: classes.iter().map(|&class| vec![class]).collect() };
    let folds: Vec<f64> = truth.folds(5).into_iter().map(|fold| fold as f64).collect();
    assert_eq!(folds, Golden::numbers(&golden.0["folds"]));
    let mut settings = Logistic::default();
    settings.strengths = golden.strengths();
    let fitted = fit(&x, &truth, &settings);
    // scikit-learn's searches go on to the end; an image on the edge of two classes may fall to either side.
    for (tried, expected) in fitted.tried.iter().zip(Golden::numbers(&golden.0["accuracy"])) {
        assert!((tried.accuracy - expected).abs() <= 1.5 / classes.len() as f64, "{tried:?}, scikit-learn {expected}");
    }
}

/// A number between -0.5 and 0.5, as if at random.
fn noise(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f32 / (1 << 24) as f32 - 0.5
}

#[test]
fn the_search_ends_after_two_worse_strengths() {
    // One feature tells two classes apart, most of the time. The others are noise, to which weak penalties fit.
    let (images, features) = (120, 40);
    let x: Vec<f32> = (0..images * features)
        .map(|i| noise(i) + if i % features > 0 { 0.0 } else { [-0.3, 0.3][i / features % 2] })
        .collect();
    let truth = Truth { classes: 2, several: false, of: (0..images).map(|image| vec![image % 2]).collect() };
    let rows = Rows { values: &x, features, views: 1 };
    let mut shares = Vec::new();
    let Fitted { tried, strength, .. } = Logistic::default()
        .fit::<Error>(rows, &truth, &mut |share| {
            shares.push(share);
            Ok(())
        })
        .unwrap();
    let best = tried.iter().position(|tried| tried.strength == strength).unwrap();
    assert!(tried.len() == best + 3 && tried.len() < 7, "{tried:?}");
    let worse = |other: &Tried| other.accuracy < tried[best].accuracy && other.log_loss > tried[best].log_loss;
    assert!(tried[best + 1..].iter().all(worse), "{tried:?}");
    assert!(shares.is_sorted() && shares.last().is_some_and(|last| *last > 0.9 && *last < 1.0));
}

#[test]
fn threads_and_views_do_not_change_the_outcome() {
    let golden = Golden::read();
    let (x, classes) = (golden.x(), golden.classes());
    let truth = Truth { classes: 4, several: false, of: classes.iter().map(|&class| vec![class]).collect() };
    let settings = Logistic::default();
    let one = fit(&x, &truth, &settings);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let three = threads.install(|| fit(&x, &truth, &settings));
    assert_eq!(one.head, three.head);
    // Twice the same view is the same as one.
    let twice: Vec<f32> = x.chunks_exact(FEATURES).flat_map(|row| [row, row].concat()).collect();
    let rows = Rows { values: &twice, features: FEATURES, views: 2 };
    let viewed = settings.fit::<Error>(rows, &truth, &mut |_| Ok(())).unwrap();
    let wide = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).collect::<Vec<f64>>();
    assert_near("views", &wide(&viewed.head.weights), &wide(&one.head.weights));
}

#[test]
fn wrong_labels_are_the_most_doubtful() {
    // Three well-parted classes, in which every eleventh image has the label of the next class.
    let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0;
    let (mut x, mut of, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for image in 0..99 {
        let class = image % 3;
        x.extend((0..FEATURES).map(|i| noise(image * FEATURES + i) + if i == class { 2.0 } else { 0.0 }));
        let is_wrong = image % 11 == 5;
        wrong.extend(is_wrong.then_some(image));
        of.push(vec![if is_wrong { (class + 1) % 3 } else { class }]);
    }
    let truth = Truth { classes: 3, several: false, of };
    let rows = Rows { values: &x, features: FEATURES, views: 1 };
    for fitted in [fit(&x, &truth, &Logistic::default()), centroid(rows, &truth).unwrap()] {
        let mut order: Vec<usize> = (0..99).collect();
        order.sort_by(|&a, &b| fitted.out_of_fold[a].of_truth.total_cmp(&fitted.out_of_fold[b].of_truth));
        let mut found = order[..wrong.len()].to_vec();
        found.sort_unstable();
        assert_eq!(found, wrong);
    }
}

#[test]
fn a_centroid_head_says_the_class_of_the_nearest_mean() {
    let x: Vec<f32> = [[3.0, 0.1], [1.0, 0.0], [0.0, 2.0], [0.2, 8.0]].concat();
    let x: Vec<f32> = x.chunks_exact(2).flat_map(|row| [row, &[0.0; 5]].concat()).collect();
    let truth = Truth { classes: 2, several: false, of: vec![vec![0], vec![0], vec![1], vec![1]] };
    let Fitted { head, out_of_fold, .. } = centroid(Rows { values: &x, features: FEATURES, views: 1 }, &truth).unwrap();
    assert!(out_of_fold.iter().all(|image| image.right));
    let logits = head.logits(&[1.0, 1.1, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(logits[1] > logits[0], "{logits:?}");
}

#[test]
fn neighbours_are_those_of_scikit_learn() {
    let golden = Golden::read();
    let (x, classes) = (golden.x(), golden.classes());
    let truth = Truth { classes: 4, several: false, of: classes.iter().map(|&class| vec![class]).collect() };
    let rows = Rows { values: &x, features: FEATURES, views: 1 };
    let Fitted { head, tried, strength, out_of_fold, .. } = neighbours::<Error>(rows, &truth, &mut |_| Ok(())).unwrap();
    for tried in &tried {
        let k = tried.strength.to_string();
        let expected = golden.0["neighbours"]["left_out"][k.as_str()].as_f64().unwrap();
        assert!((tried.accuracy - expected).abs() < 1e-9, "{tried:?}, scikit-learn {expected}");
    }
    let best = tried.iter().map(|tried| tried.accuracy).fold(0.0, f64::max);
    let right = out_of_fold.iter().filter(|image| image.right).count();
    assert_eq!(right as f64 / classes.len() as f64, best, "{strength}");
    // The head counts the same neighbours of features that it does not know.
    let mut of_five = head.clone();
    of_five.neighbours.as_mut().unwrap().k = 5;
    let queries: Vec<f32> = Golden::numbers(&golden.0["neighbours"]["queries"]).into_iter().map(|x| x as f32).collect();
    let got: Vec<f64> =
        queries.chunks_exact(FEATURES).flat_map(|row| of_five.scores(row, false)).map(f64::from).collect();
    let expected = Golden::numbers(&golden.0["neighbours"]["scores_of_five"]);
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {expected:?}");
}

#[test]
fn measures_of_several_labels_are_those_of_scikit_learn() {
    let golden = &Golden::read().0["tag_measures"];
    let scores: Vec<f32> = Golden::numbers(&golden["scores"]).into_iter().map(|score| score as f32).collect();
    let of_tags = |tags: &Value| Golden::numbers(tags).into_iter().map(|tag| tag as usize).collect();
    let truth: Vec<Vec<usize>> = golden["tags"].as_array().unwrap().iter().map(of_tags).collect();
    let images: Vec<Tagged> =
        scores.chunks_exact(5).zip(truth).map(|(scores, truth)| Tagged { truth, scores: scores.to_vec() }).collect();
    let measures = TagMeasures::of(&images, 5);
    let near = |got: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!((got - expected).abs() < 1e-9, "{got}, scikit-learn {expected}");
    };
    let report = &golden["report"];
    let classes = measures.classes.iter().enumerate().map(|(class, (m, _))| (class.to_string(), *m));
    let means = [("micro", measures.micro_mean), ("macro", measures.macro_mean), ("weighted", measures.weighted_mean)];
    for (name, m) in classes.chain(means.map(|(name, mean)| (format!("{name} avg"), mean))) {
        for (got, key) in
            [(m.precision, "precision"), (m.recall, "recall"), (m.f1, "f1-score"), (m.support as f64, "support")]
        {
            near(got, &report[&name][key]);
        }
    }
    for ((_, average), expected) in measures.classes.iter().zip(golden["average_precision"].as_array().unwrap()) {
        match average {
            Some(average) => near(*average, expected),
            None => assert!(expected.is_null()),
        }
    }
    near(measures.mean_average_precision, &golden["mean_average_precision"]);
    assert_eq!(measures.all_right as u64, golden["all_right"].as_u64().unwrap());
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let x = vec![0.5; 4 * FEATURES];
    let rows = Rows { values: &x, features: FEATURES, views: 1 };
    let truth =
        |classes: usize, of: &[usize]| Truth { classes, several: false, of: of.iter().map(|&c| vec![c]).collect() };
    let code = |truth: Truth| Logistic::default().fit::<Error>(rows, &truth, &mut |_| Ok(())).unwrap_err().code();
    assert_eq!(code(truth(1, &[0, 0, 0, 0])), "config.value");
    assert_eq!(code(truth(2, &[0, 0, 0, 1])), "config.value");
    assert_eq!(code(truth(3, &[0, 0, 1, 1])), "config.value");
    assert_eq!(code(truth(2, &[0, 0, 1, 1, 1])), "graph.shape");
    assert_eq!(code(truth(2, &[0, 0, 1, 2])), "config.value", "a class beyond the last one");
    let several = Truth { classes: 2, several: false, of: vec![vec![0, 1], vec![0], vec![1], vec![0]] };
    assert_eq!(code(several), "config.value");
    let refused = |settings: Logistic, x: &[f32]| {
        let rows = Rows { values: x, features: FEATURES, views: 1 };
        settings.fit::<Error>(rows, &truth(2, &[0, 0, 1, 1]), &mut |_| Ok(())).unwrap_err().code()
    };
    let (mut folds, mut strengths, mut none, mut nan) =
        (Logistic::default(), Logistic::default(), Logistic::default(), x.clone());
    folds.folds = 1;
    strengths.strengths = vec![1.0, -1.0];
    none.strengths.clear();
    nan[5] = f32::NAN;
    for (settings, x) in [(folds, &x), (strengths, &x), (none, &x), (Logistic::default(), &nan)] {
        assert_eq!(refused(settings, x), "config.value");
    }
    let stopped = Logistic::default().fit::<Error>(rows, &truth(2, &[0, 0, 1, 1]), &mut |_| Err(Error::ImageNone));
    assert!(stopped.is_err() || x.iter().all(|value| *value == 0.5), "equal features have their minimum at once");
}

#[test]
fn measures_are_those_of_scikit_learn() {
    let golden = Golden::read();
    let scores = Golden::numbers(&golden.0["scores"]);
    let scores: Vec<f32> = scores.into_iter().map(|score| score as f32).collect();
    let truth: Vec<usize> = Golden::numbers(&golden.0["truth"]).into_iter().map(|class| class as usize).collect();
    let answers: Vec<Answer> =
        scores.chunks_exact(6).zip(&truth).map(|(row, &class)| Answer::new(row, class)).collect();
    let measures = Measures::of(&answers);
    let near = |got: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!((got - expected).abs() < 1e-9, "{got}, scikit-learn {expected}");
    };
    let report = &golden.0["report"];
    near(measures.accuracy(), &report["accuracy"]);
    let mut rows: Vec<(String, _)> = measures.classes.iter().map(|(class, m)| (class.to_string(), *m)).collect();
    rows.extend([("macro avg".into(), measures.macro_mean), ("weighted avg".into(), measures.weighted_mean)]);
    assert_eq!(rows.len() + 1, report.as_object().unwrap().len(), "the classes that are true or said, and no others");
    for (name, m) in rows {
        for (got, key) in
            [(m.precision, "precision"), (m.recall, "recall"), (m.f1, "f1-score"), (m.support as f64, "support")]
        {
            near(got, &report[&name][key]);
        }
    }
    near(measures.log_loss, &golden.0["log_loss"]);
    assert_eq!(measures.top5 as u64, golden.0["top5"].as_u64().unwrap());
    for (truth, row) in golden.0["confusion"].as_array().unwrap().iter().enumerate() {
        for (said, count) in row.as_array().unwrap().iter().enumerate() {
            assert_eq!(measures.confusion.get(&(truth, said)).copied().unwrap_or(0) as u64, count.as_u64().unwrap());
        }
    }
    let of_two: Vec<(f64, bool)> =
        scores.chunks_exact(6).zip(&truth).map(|(row, class)| (f64::from(row[2]), *class == 2)).collect();
    let (roc, average_precision) = areas(&cuts(&of_two));
    near(roc, &golden.0["roc"]);
    near(average_precision, &golden.0["average_precision"]);
}
