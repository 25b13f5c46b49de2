//! Downloads: the layout of the cache, and failures on the way.

use std::{sync::Mutex, time::Instant};

use residua::hub::{Event, Watch};

use super::{
    server::{Fault, Seen},
    *,
};

const HALF: usize = WEIGHTS.len() / 2;

fn config() -> String {
    r#"{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 32, 32]}}"#.into()
}

#[test]
fn a_fetched_model_lies_as_python_lays_it_and_needs_no_network_again() {
    let config = config();
    let bench = Bench::with(&[("model.safetensors", WEIGHTS), ("config.json", config.as_bytes())]);
    let snapshot = bench.open().unwrap();
    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(snapshot.folder, bench.path("snapshots").join(COMMIT));
    assert_weights(&snapshot);
    assert_eq!(fs::read_to_string(bench.path("refs/main")).unwrap(), COMMIT);
    let absent = bench.path(".no_exist").join(COMMIT).join("preprocessor_config.json");
    assert_eq!(fs::read_to_string(absent).unwrap(), "");
    for (file, etag) in [("model.safetensors", sha256(WEIGHTS)), ("config.json", git_hash(config.as_bytes()))] {
        let target = fs::read_link(snapshot.folder.join(file)).unwrap();
        assert_eq!(target, Path::new("../../blobs").join(&etag));
        assert!(bench.path("../.locks/models--owner--net").join(format!("{etag}.lock")).is_file());
    }
    assert_eq!(fs::read_dir(bench.path("blobs")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(bench.path("snapshots").join(COMMIT)).unwrap().count(), 2);

    bench.server.seen();
    assert_eq!(bench.open().unwrap(), snapshot);
    assert_eq!(bench.offline().unwrap(), snapshot);
    assert_eq!(bench.server.seen().len(), 0, "the cache was enough");
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let mut bench = Bench::new();
    let files = [("model.safetensors".to_string(), WEIGHTS.to_vec())].into();
    bench.server.put("owner/net", Repository { commit: COMMIT.into(), files, token: Some("hf_secret".into()) });
    bench.hub.token = Token::new("hf_secret\n");
    bench.open().unwrap();
    let seen = bench.server.seen();
    let (cdn, hub): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|seen| seen.cdn);
    assert_eq!(cdn.len(), 1);
    assert!(cdn.iter().all(|seen| seen.authorization.is_none()), "{cdn:?}");
    assert!(hub.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")), "{hub:?}");
    assert!(!format!("{:?}", bench.hub).contains("hf_secret"));
}

#[test]
fn row_51_a_redirect_to_elsewhere_and_back_does_not_bring_the_token_back() {
    let mut bench = Bench::new();
    let other = Server::start();
    let leak: &str =
        Box::leak(format!("Location: {}/owner/net/resolve/main/config.json", bench.hub.endpoint).into_boxed_str());
    other.refuse([Fault::Status(302, leak)]);
    let away: &str = Box::leak(format!("Location: {}/away", other.endpoint).into_boxed_str());
    bench.server.refuse([Fault::Status(302, away)]);
    bench.hub.token = Token::new("hf_secret");
    bench.open().unwrap();
    assert_eq!(other.seen()[0].authorization, None);
    let seen = bench.server.seen();
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer hf_secret"));
    assert_eq!(seen[1].authorization, None, "{:?}", seen[1]);
}

#[test]
fn what_an_earlier_run_left_is_built_on() {
    let bench = Bench::new();
    bench.leave(&WEIGHTS[..HALF]);
    assert_weights(&bench.open().unwrap());
    assert_eq!(bench.server.ranges(), [Some(format!("bytes={HALF}-"))]);
    assert!(!bench.partial().exists());
}

#[test]
fn what_an_earlier_run_left_damaged_or_too_long_is_thrown_away() {
    let bench = Bench::new();
    let mut damaged = WEIGHTS[..HALF].to_vec();
    damaged[7] ^= 1;
    bench.leave(&damaged);
    assert_weights(&bench.open().unwrap());
    assert_eq!(bench.server.ranges(), [Some(format!("bytes={HALF}-")), None]);

    let bench = Bench::new();
    bench.leave(&[WEIGHTS, b"more"].concat());
    assert_weights(&bench.open().unwrap());
    assert_eq!(bench.server.ranges(), [None]);
}

#[test]
fn cut_and_stalled_connections_are_resumed() {
    let mut bench = Bench::new();
    bench.hub.download_timeout = Duration::from_millis(200);
    // More failures than the retries without new bytes allow.
    let cuts = [Fault::Cut(10), Fault::Cut(10), Fault::Cut(10)];
    bench.server.fault([Fault::Cut(0), Fault::Cut(1000), Fault::Stall(500), Fault::Cut(HALF)].into_iter().chain(cuts));
    assert_weights(&bench.open().unwrap());
    let at = |byte: usize| Some(format!("bytes={byte}-"));
    let begun = 1500 + HALF;
    let expected = [None, None, at(1000), at(1500), at(begun), at(begun + 10), at(begun + 20), at(begun + 30)];
    assert_eq!(bench.server.ranges(), expected);
}

#[test]
fn a_connection_that_never_gives_anything_is_given_up_and_the_bytes_are_kept() {
    let bench = Bench::new();
    bench.server.fault([Fault::Cut(4096)].into_iter().chain(vec![Fault::Cut(0); 4]));
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.network");
    assert!(error.to_string().contains(&format!("4096 of {} bytes are kept", WEIGHTS.len())), "{error}");
    assert_eq!(bench.server.ranges().len(), 5, "one request with bytes, four without");
    assert_eq!(fs::metadata(bench.partial()).unwrap().len(), 4096);
    assert_weights(&bench.open().unwrap());
}

#[test]
fn a_server_without_ranges_starts_over() {
    let bench = Bench::new();
    bench.leave(&WEIGHTS[..HALF]);
    bench.server.fault([Fault::IgnoreRange]);
    assert_weights(&bench.open().unwrap());
}

#[test]
fn wrong_bytes_are_never_used() {
    let bench = Bench::new();
    bench.server.fault([Fault::Flip]);
    assert_eq!(failure(bench.open()), HubFailure::Checksum);
    assert!(!bench.partial().exists() && !bench.blob().exists());
    assert_eq!(failure(bench.offline()), HubFailure::NotCached);
    assert_weights(&bench.open().unwrap());
}

#[test]
fn two_at_once_fetch_once() {
    let mut bench = Bench::new();
    let waited = Arc::new(Mutex::new(0));
    let told = Arc::clone(&waited);
    bench.hub.watch =
        Watch::new(move |event| *told.lock().unwrap() += usize::from(matches!(event, Event::Waiting { .. })));
    bench.server.fault([Fault::Slow(WEIGHTS.len() / 4, Duration::from_millis(100))]);
    std::thread::scope(|scope| {
        let open = || assert_weights(&bench.open().unwrap());
        scope.spawn(open);
        scope.spawn(open);
    });
    assert_eq!(bench.server.ranges().len(), 1);
    assert_eq!(*waited.lock().unwrap(), 1);
}

#[test]
fn progress_begins_with_what_is_there_and_ends_with_the_whole() {
    let mut bench = Bench::new();
    bench.leave(&WEIGHTS[..HALF]);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&steps);
    bench.hub.watch = Watch::new(move |event| {
        if let Event::Progress { done, size, .. } = event {
            told.lock().unwrap().push((*done, size.unwrap()));
        }
    });
    bench.open().unwrap();
    let (steps, size) = (steps.lock().unwrap(), WEIGHTS.len() as u64);
    assert_eq!(steps.first(), Some(&(HALF as u64, size)));
    assert_eq!(steps.last(), Some(&(size, size)));
}

#[test]
fn a_busy_hub_is_waited_for_as_it_asks() {
    let bench = Bench::new();
    bench.server.refuse([Fault::Status(429, "Retry-After: 1"), Fault::Status(503, "X-Trouble: yes")]);
    let began = Instant::now();
    assert_weights(&bench.open().unwrap());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn pull_asks_for_what_is_newest_and_open_stays_with_what_is_there() {
    let bench = Bench::new();
    bench.open().unwrap();
    bench.put(LATER, &[("model.safetensors", WEIGHTS)]);
    assert_eq!(bench.open().unwrap().commit, COMMIT);
    bench.server.seen();
    assert_eq!(bench.hub.pull(&id("owner/net")).unwrap().commit, LATER);
    assert_eq!(bench.server.ranges().len(), 0, "the blob is the same");
    assert_eq!(bench.offline().unwrap().commit, LATER);
    let earlier = bench.hub.open(&id(&format!("owner/net@{COMMIT}"))).unwrap();
    assert_weights(&earlier);
}

#[test]
fn a_branch_with_a_slash_has_its_ref_below() {
    let bench = Bench::new();
    let snapshot = bench.hub.open(&id("owner/net@refs/pr/1")).unwrap();
    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(fs::read_to_string(bench.path("refs/refs/pr/1")).unwrap(), COMMIT);
}
