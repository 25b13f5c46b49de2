//! `residua similar`: the images of a folder that are most like an image, or like each other.

use std::{io::Write, path::Path};

use residua::{Classifier, Error};
use serde::Serialize;

use super::{
    Outcome, Stop,
    args::{Inputs, Similar, SimilarFormat},
    index::{Index, unit},
    inputs::text_of,
    interrupt::Interrupt,
    options::Global,
    pipeline::Work,
    records::{JsonFailure, Output},
};

/// Pairs of at least this similarity are near-duplicates unless --min-score says otherwise.
const NEAR: f32 = 0.95;

#[derive(Serialize)]
struct JsonNeighbours<'a> {
    path: String,
    model: &'a str,
    neighbours: Vec<JsonNeighbour>,
}

#[derive(Serialize)]
struct JsonNeighbour {
    path: String,
    score: f32,
}

#[derive(Serialize)]
struct JsonPair {
    paths: [String; 2],
    score: f32,
}

pub(super) fn run(global: &Global, command: &Similar, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(&command.model.model)?;
    let interrupt = Interrupt::install();
    let (index, failed) = index(global, command, &classifier, &interrupt)?;
    let (paths, vectors): (Vec<&Path>, Vec<&[f32]>) = index.images().unzip();
    let mut out = Output::new(out, Path::new("stdout"));
    if command.duplicates {
        duplicates(command, &classifier, &interrupt, &paths, &vectors, &mut out)?;
        return Ok(failed == 0);
    }
    let queries: Vec<Result<Vec<f32>, Error>> =
        command.queries.iter().map(|path| query(global, &classifier, path)).collect();
    let good: Vec<&[f32]> = queries.iter().flatten().map(Vec::as_slice).collect();
    let mut best =
        vec![Best { k: command.k, least: command.min_score.unwrap_or(f32::MIN), found: Vec::new() }; good.len()];
    classifier.products(&good, &vectors, &mut |part| {
        interrupt.check()?;
        for (best, row) in best[part.query..].iter_mut().zip(part.rows) {
            row.into_iter().enumerate().for_each(|(i, score)| best.offer(score, part.vector + i));
        }
        Ok::<_, Stop>(())
    })?;
    let mut best = best.into_iter();
    let mut ok = failed == 0;
    for (path, query) in command.queries.iter().zip(&queries) {
        match query {
            Ok(_) => {
                let found = best.next().map_or_else(Vec::new, |best| best.found);
                let found = found.into_iter().map(|(score, i)| JsonNeighbour { path: text_of(paths[i]), score });
                neighbours(command.format, &classifier, path, found.collect(), &mut out)?;
            }
            Err(error) => {
                ok = false;
                global.complain_of(path, error);
                if command.format == SimilarFormat::Jsonl {
                    out.json(&JsonFailure::new(path, error))?;
                }
            }
        }
    }
    Ok(ok)
}

/// The index of the place to look in, up to date, and how many of its images failed.
fn index(
    global: &Global,
    command: &Similar,
    classifier: &Classifier,
    interrupt: &Interrupt,
) -> Result<(Index, u64), Stop> {
    let mut index = Index::new(global, classifier);
    if !command.place.is_dir() {
        index.read(&command.place)?;
        return Ok((index, 0));
    }
    if let Some(file) = command.index.as_deref().filter(|file| file.exists()) {
        index.read(file)?;
    }
    let inputs = Inputs::folder(&command.place);
    let (failed, ended) = index.refresh(&Work { global, classifier, inputs: &inputs, interrupt });
    if let (Some(file), Ok(()) | Err(Stop::Interrupted)) = (&command.index, &ended) {
        index.write(file, classifier.model().features)?;
    }
    ended?;
    if failed > 0 {
        global.note(&format!("{failed} images of {} failed and are left out", command.place.display()));
    }
    Ok((index, failed))
}

/// The features of one image, of unit length.
fn query(global: &Global, classifier: &Classifier, path: &Path) -> Result<Vec<f32>, Error> {
    Ok(unit(classifier.embed(&global.photo(path)?.image)?))
}

fn neighbours(
    format: SimilarFormat,
    classifier: &Classifier,
    path: &Path,
    neighbours: Vec<JsonNeighbour>,
    out: &mut Output<'_>,
) -> Result<(), Stop> {
    let path = text_of(path);
    match format {
        SimilarFormat::Jsonl => out.json(&JsonNeighbours { path, model: &classifier.model().name, neighbours }),
        SimilarFormat::Text => {
            let line = |JsonNeighbour { path, score }: &JsonNeighbour| format!("  {score:.4}  {path}\n");
            out.put(format!("{path}\n{}", neighbours.iter().map(line).collect::<String>()).as_bytes())
        }
    }
}

/// Writes all pairs of near-duplicates, each once.
fn duplicates(
    command: &Similar,
    classifier: &Classifier,
    interrupt: &Interrupt,
    paths: &[&Path],
    vectors: &[&[f32]],
    out: &mut Output<'_>,
) -> Result<(), Stop> {
    let least = command.min_score.unwrap_or(NEAR);
    classifier.products(vectors, vectors, &mut |part| {
        interrupt.check()?;
        for (first, row) in (part.query..).zip(part.rows) {
            for (second, score) in (part.vector..).zip(row) {
                if second <= first || score < least {
                    continue;
                }
                let paths = [text_of(paths[first]), text_of(paths[second])];
                match command.format {
                    SimilarFormat::Jsonl => out.json(&JsonPair { paths, score })?,
                    SimilarFormat::Text => out.put(format!("{score:.4}  {}  {}\n", paths[0], paths[1]).as_bytes())?,
                }
            }
        }
        out.flush()
    })
}

/// The best of many scores, highest first; of equal ones the earlier.
#[derive(Clone)]
struct Best {
    k: usize,
    least: f32,
    found: Vec<(f32, usize)>,
}

impl Best {
    fn offer(&mut self, score: f32, i: usize) {
        let full = self.found.len() == self.k;
        if score < self.least || (full && self.found.last().is_some_and(|(worst, _)| score <= *worst)) {
            return;
        }
        let at = self.found.partition_point(|(better, _)| *better >= score);
        self.found.insert(at, (score, i));
        self.found.truncate(self.k);
    }
}
