//! The meaning of names and of environment variables.

use std::{collections::HashSet, ffi::OsString};

use residua::{
    hub::{by_repository, entries, similar_names},
    models::Architecture,
};

use super::*;

#[test]
fn names_and_revisions() {
    let parsed = |text: &str| ModelId::parse(text).map(|id| (id.repository().to_string(), id.revision().to_string()));
    let some = |repository: &str, revision: &str| Some((repository.into(), revision.into()));
    assert_eq!(parsed("resnet50"), some("timm/resnet50.a1_in1k", "main"));
    assert_eq!(parsed("resnet50@v1.2"), some("timm/resnet50.a1_in1k", "v1.2"));
    assert_eq!(parsed("microsoft/resnet-50"), some("microsoft/resnet-50", "main"));
    assert_eq!(parsed("a/b@refs/pr/3"), some("a/b", "refs/pr/3"));
    let none = [
        "",
        "resnet",
        "resnet50@",
        "a/b@..",
        "a/b@../x",
        "a/b@/x",
        "a/b@x/",
        "a/b@x..y",
        "a/b@x y",
        "a/b/c",
        "/a/b",
        "../b",
        "a/..",
        "a/.b",
        "a--b/c",
        "a/b.safetensors",
        "a/b.git",
        "a/b c",
        "a/b%2f",
        "~/b",
        "./a",
    ];
    for text in none {
        assert_eq!(parsed(text), None, "{text}");
    }
    assert_eq!(parsed(&format!("a/{}", "b".repeat(95))), None);
}

#[test]
fn wrong_names_lead_to_right_ones() {
    assert_eq!(similar_names("resnt50")[0], "resnet50");
    assert_eq!(similar_names("ResNet-50")[0], "resnet50");
    assert_eq!(similar_names("densenet-121")[0], "densenet121");
    assert!(
        similar_names("resnext101").iter().all(|name| name.starts_with("resnext101"))
            && !similar_names("resnext101").is_empty()
    );
    assert_eq!(similar_names("gpt2"), Vec::<&str>::new());
}

#[test]
fn the_table_of_published_models_is_consistent() {
    let rows: Vec<_> = entries().collect();
    let mut names = HashSet::new();
    for row in &rows {
        assert_eq!(row.alias.map(id), row.alias.map(|_| id(row.repository)));
        assert!(names.insert(row.repository), "{} twice", row.repository);
        assert!(row.alias.is_none_or(|alias| names.insert(alias)), "{:?} twice", row.alias);
        assert!(row.license.is_some());
        assert_eq!(row.top1.is_some(), row.top1_source.is_some() && row.top1_input.is_some());
        assert!(row.top1.is_none_or(|top1| (60.0..90.0).contains(&top1)));
        let alias = row.alias.unwrap_or_default();
        let non_commercial = ["fb_wsl", "fb_swsl", "fb_ssl", "swag"].iter().any(|data| row.repository.contains(data));
        assert_eq!(row.license == Some("cc-by-nc-4.0"), non_commercial, "{alias}");
        // The figures must equal the project's own counts.
        if let Some(mut architecture) = Architecture::by_name(alias.split('.').next().unwrap()) {
            if alias.ends_with("_in12k") {
                architecture = architecture.with_classes(11821);
            }
            if row.repository.ends_with("_in21k") {
                // Alibaba's selection of ImageNet-21k, and Google's.
                architecture = architecture.with_classes(if alias.contains(".miil") { 11221 } else { 21843 });
            }
            if let Architecture::Variant(net) = &mut architecture
                && row.repository.contains("_clip_gap")
            {
                net.head = None;
            }
            assert_eq!(row.parameters, Some(architecture.parameters()), "{alias}");
            let gmacs = architecture.macs(224, 224).unwrap() as f64 / 1e9;
            let near = row.gmacs.is_some_and(|row| (row - gmacs).abs() <= 0.0011);
            assert!(near, "{alias}: {:?}, counted {gmacs}", row.gmacs);
        }
    }
    assert!(by_repository("timm/resnet50.a1_in1k").is_some_and(|row| row.alias == Some("resnet50")));
}

fn from(vars: &[(&str, &str)]) -> Hub {
    let vars: std::collections::HashMap<&str, &str> = vars.iter().copied().collect();
    Hub::from_vars(|name| vars.get(name).map(OsString::from))
}

#[test]
fn the_cache_is_where_python_has_it() {
    let cache = |vars: &[(&str, &str)]| from(vars).cache;
    let home = ("HOME", "/h");
    assert_eq!(cache(&[]), None);
    assert_eq!(cache(&[home]), Some("/h/.cache/huggingface/hub".into()));
    assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), Some("/x/huggingface/hub".into()));
    assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), Some("/h/hf/hub".into()));
    assert_eq!(cache(&[home, ("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Some("/old".into()));
    assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Some("/c".into()));
    assert_eq!(cache(&[home, ("HF_HOME", "")]), Some("/h/.cache/huggingface/hub".into()));
}

#[test]
fn the_other_variables_are_pythons_too() {
    assert!(from(&[("HF_HUB_OFFLINE", "1")]).offline);
    assert!(from(&[("TRANSFORMERS_OFFLINE", "yes")]).offline);
    assert!(!from(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline, "the first set variable counts");
    assert_eq!(from(&[("HF_ENDPOINT", "https://mirror/")]).endpoint, "https://mirror");
    assert_eq!(from(&[("HF_HUB_DOWNLOAD_TIMEOUT", "3")]).download_timeout, Duration::from_secs(3));
    assert_eq!(from(&[("HF_HUB_ETAG_TIMEOUT", "junk")]).metadata_timeout, Duration::from_secs(10));
    assert_eq!(
        from(&[("HTTPS_PROXY", "http://p:1"), ("HTTP_PROXY", "http://q:1")]).proxy.as_deref(),
        Some("http://p:1")
    );
    assert_eq!(from(&[("https_proxy", "http://p:1"), ("no_proxy", "a, b")]).no_proxy, ["a", "b"]);

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fs::write(at("token"), "hf_home\n").unwrap();
    fs::write(at("mine"), "hf_path").unwrap();
    let (home, path) = (at(""), at("mine"));
    let token = |vars: &[(&str, &str)]| from(&[&[("HF_HOME", home.as_str())], vars].concat()).token;
    assert_eq!(token(&[]), Token::new("hf_home"));
    assert_eq!(token(&[("HF_TOKEN_PATH", &path)]), Token::new("hf_path"));
    assert_eq!(token(&[("HF_TOKEN_PATH", &path), ("HF_TOKEN", "hf_var")]), Token::new("hf_var"));
    assert_eq!(token(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
}
