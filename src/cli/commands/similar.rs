//! `residua similar`: finds the images of a folder that are most similar to an image, or to each other.

use std::{io::Write, path::Path};

use residua::{Classifier, Error, cosine, search::unit};
use serde::Serialize;

use super::duplicates;
use crate::cli::{
    args::{Similar, SimilarFormat},
    io::{
        index::Index,
        inputs::{Inputs, text_of},
        records::{JsonFailure, Output},
        work::Work,
    },
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

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

pub(crate) fn run(global: &Global, command: &Similar, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(&command.model.model)?;
    let interrupt = Interrupt::install();
    let (index, failed) = index(global, command, &classifier, &interrupt)?;
    let (paths, vectors): (Vec<&Path>, Vec<&[f32]>) = index.images().unzip();
    let mut out = Output::new(out, Path::new("stdout"));
    if command.duplicates {
        let found = duplicates::run(command, &classifier, &interrupt, &paths, &vectors, &mut out)?;
        if found == 0 && !paths.is_empty() {
            let least = command.min_score.unwrap_or(duplicates::NEAR);
            global.note(&format!("no near-duplicates: no two images have a similarity of at least {least}"));
        }
        return Ok(failed == 0);
    }
    let queries: Vec<Result<Vec<f32>, Error>> =
        command.queries.iter().map(|path| query(global, &classifier, path)).collect();
    let good: Vec<&[f32]> = queries.iter().flatten().map(Vec::as_slice).collect();
    let least = command.min_score.unwrap_or(f32::MIN);
    let mut best = vec![Best { k: command.k, least, candidates: Vec::new() }; good.len()];
    classifier.similarities(&good, &vectors, &mut |part| {
        interrupt.check()?;
        for (best, row) in best[part.query..].iter_mut().zip(part.rows) {
            row.into_iter().enumerate().for_each(|(i, score)| best.offer(score, part.error, part.vector + i));
        }
        Ok::<_, Stop>(())
    })?;
    let mut best = best.into_iter().zip(&good);
    let mut ok = failed == 0;
    for (path, query) in command.queries.iter().zip(&queries) {
        match query {
            Ok(_) => {
                let found = best.next().map_or_else(Vec::new, |(best, query)| best.finish(query, &vectors));
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

/// The up-to-date index of the searched folder, and the number of images that failed.
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
    let inputs = Inputs::folder(&command.place, &command.folders);
    let (failed, ended) = index.refresh(&Work { global, classifier, inputs: &inputs, interrupt });
    // Keep the index if the folder is empty: its drive may be unmounted.
    let empty = index.images().next().is_none();
    if let (Some(file), false, Ok(()) | Err(Stop::Interrupted)) = (&command.index, empty, &ended) {
        index.write(file, classifier.model().features)?;
    }
    ended?;
    Ok((index, failed))
}

/// The features of one image, scaled to unit length.
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

/// The vectors most similar to a query.
#[derive(Clone)]
struct Best {
    k: usize,
    least: f32,
    /// Candidates for the best `k`: similarities from the device, highest first, and positions.
    candidates: Vec<(f32, usize)>,
}

impl Best {
    /// Adds a similarity whose error is at most `error`.
    fn offer(&mut self, score: f32, error: f32, i: usize) {
        // A similarity below this one by more than the errors cannot be among the best.
        let floor = self.candidates.get(self.k - 1).map_or(f32::MIN, |&(score, _)| score - 2.0 * error);
        if score < floor || score + error < self.least {
            return;
        }
        let at = self.candidates.partition_point(|&(better, _)| better >= score);
        self.candidates.insert(at, (score, i));
        if let Some(&(last, _)) = self.candidates.get(self.k - 1) {
            let kept = self.candidates.partition_point(|&(score, _)| score >= last - 2.0 * error);
            self.candidates.truncate(kept);
        }
    }

    /// The best `k` by their exact similarity to `query`, highest first; among equals, the earlier first.
    fn finish(self, query: &[f32], vectors: &[&[f32]]) -> Vec<(f32, usize)> {
        let exact = self.candidates.into_iter().map(|(_, i)| (cosine(query, vectors[i]), i));
        let mut found: Vec<(f32, usize)> = exact.filter(|(score, _)| *score >= self.least).collect();
        found.sort_by(|(a, i), (b, j)| b.total_cmp(a).then(i.cmp(j)));
        found.truncate(self.k);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Picks the best of two-dimensional vectors with these cosines to (1, 0), when each device value is off by the full `error`.
    fn best(k: usize, least: f32, cosines: &[f32], error: f32) -> Vec<usize> {
        let vectors: Vec<[f32; 2]> = cosines.iter().map(|&x| [x, (1.0 - x * x).sqrt()]).collect();
        let vectors: Vec<&[f32]> = vectors.iter().map(|x| &x[..]).collect();
        let mut best = Best { k, least, candidates: Vec::new() };
        for (i, &score) in cosines.iter().enumerate() {
            best.offer(if i % 2 == 0 { score - error } else { score + error }, error, i);
        }
        best.finish(&[1.0, 0.0], &vectors).into_iter().map(|(_, i)| i).collect()
    }

    #[test]
    fn what_the_device_rounds_does_not_change_the_order() {
        let cosines = [0.9, 0.8999, 0.5, 0.9001, 0.8998, 0.2, 1.0, 0.89985];
        for error in [0.0, 1e-6, 0.01] {
            assert_eq!(best(4, f32::MIN, &cosines, error), [6, 3, 0, 1], "{error}");
            assert_eq!(best(8, 0.8999, &cosines, error), [6, 3, 0, 1], "{error}");
            assert_eq!(best(1, f32::MIN, &cosines, error), [6], "{error}");
        }
        assert_eq!(best(3, f32::MIN, &[0.5, 1.0, 0.5, 0.5, 1.0], 0.01), [1, 4, 0], "the earlier of two equals");
    }
}
