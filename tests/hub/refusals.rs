//! The hub's refusals.

use super::{server::Fault, *};

#[test]
fn what_is_not_there_is_told_apart() {
    let bench = Bench::new();
    assert_eq!(failure(bench.hub.open(&id("owner/other"))), HubFailure::NoRepository);
    assert_eq!(failure(bench.hub.open(&id("owner/net@v9"))), HubFailure::NoRevision);
    bench.put(COMMIT, &[("README.md", b"nothing here")]);
    assert_eq!(failure(bench.open()), HubFailure::NoFile);
    assert_eq!(failure(bench.offline()), HubFailure::NoFile);
}

#[test]
fn row_51_statuses_have_codes_of_their_own() {
    let cases = [
        (Fault::Status(401, "X-Nothing: 0"), "hub.unauthorized", "HF_TOKEN"),
        (Fault::Status(401, "X-Error-Code: GatedRepo"), "hub.forbidden", "ask for access"),
        (Fault::Status(403, "X-Error-Code: GatedRepo"), "hub.forbidden", "ask for access"),
        (Fault::Status(403, "X-Nothing: 0"), "hub.forbidden", "403"),
        (Fault::Status(404, "X-Nothing: 0"), "hub.no_repository", "404"),
        (Fault::Status(429, "Retry-After: 3600"), "hub.rate_limited", "3600 s"),
        (Fault::Status(429, "RateLimit: \"resolvers\";r=0;t=3601"), "hub.rate_limited", "3601 s"),
        (Fault::Status(418, "X-Nothing: 0"), "hub.response", "418"),
        (Fault::Status(200, "Content-Type: text/html"), "hub.response", "sign-in page"),
        (Fault::Status(302, "X-Nothing: 0"), "hub.response", "redirect"),
    ];
    for (fault, code, words) in cases {
        let bench = Bench::new();
        bench.server.refuse([fault.clone()]);
        let error = bench.open().unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert!(error.to_string().contains(words), "{fault:?}: {error}");
        assert_eq!(bench.server.seen().len(), 1, "{fault:?} is not tried again");
    }
}

#[test]
fn a_token_that_is_not_taken_is_not_told() {
    let mut bench = Bench::new();
    bench.hub.token = Token::new("hf_secret");
    bench.server.refuse([Fault::Status(401, "X-Nothing: 0")]);
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.unauthorized");
    assert!(!error.to_string().contains("hf_secret"), "{error}");
    bench.hub.token = Token::new("hf_\u{7}secret");
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "config.value");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn row_51_a_web_page_instead_of_weights_is_refused() {
    let bench = Bench::new();
    bench.server.fault([Fault::Html]);
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.response");
    assert!(error.to_string().contains("web page"), "{error}");
    assert!(!error.to_string().contains("Signature"), "{error}");
    assert_weights(&bench.open().unwrap());
}

#[test]
fn a_redirect_in_circles_ends() {
    let bench = Bench::new();
    let circle = Fault::Status(302, "Location: /owner/net/resolve/main/config.json");
    bench.server.refuse(vec![circle; 11]);
    assert_eq!(failure(bench.open()), HubFailure::Response);
}

#[test]
fn a_hub_in_trouble_and_one_that_is_not_there() {
    let mut bench = Bench::new();
    bench.server.refuse(vec![Fault::Status(503, "X-Trouble: yes"); 5]);
    assert_eq!(failure(bench.open()), HubFailure::Network);
    assert_eq!(bench.server.seen().len(), 5);
    // A port on which nothing listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.hub.endpoint = format!("http://{port}");
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.network");
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused), "{error}");
    for endpoint in ["not an address", "ftp://hub", "hub"] {
        bench.hub.endpoint = endpoint.into();
        assert_eq!(bench.open().unwrap_err().code(), "config.value", "{endpoint}");
    }
}

#[test]
fn weights_in_another_form_are_refused_with_the_way_out() {
    let pickle = Bench::with(&[("pytorch_model.bin", WEIGHTS)]);
    let snapshot = pickle.open().unwrap();
    assert_eq!(fs::read(snapshot.folder.join("pytorch_model.bin")).unwrap(), WEIGHTS);
    assert_eq!(pickle.open().unwrap(), snapshot, "out of the cache");
    let shards = Bench::with(&[("model.safetensors.index.json", b"{\"weight_map\": {\"a\": \"../../etc/passwd\"}}")]);
    let error = shards.open().unwrap_err();
    assert_eq!(error.code(), "model.format");
    assert!(error.to_string().contains("several files"), "{error}");
}

#[test]
fn row_49_a_cache_that_cannot_be_written_is_named() {
    let mut bench = Bench::new();
    let file = bench.folder.path().join("file");
    fs::write(&file, "").unwrap();
    bench.hub.cache = Some(file.join("hub"));
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.cache");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    bench.hub.cache = None;
    assert_eq!(failure(bench.open()), HubFailure::Cache);
}
