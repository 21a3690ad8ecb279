use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn name(header: &str) -> String {
    ClientName::of_user_agent(header.as_bytes()).to_string()
}

const CLIENTS: &[(&str, &str)] = &[
    // Firefox
    (
        "Firefox on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "Firefox on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        "Firefox on Linux",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
    ),
    (
        "Firefox on Android",
        "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0",
    ),
    (
        "Firefox on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
    ),
    (
        "Firefox on iPad",
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/120.0 Mobile/15E148 Safari/605.1.15",
    ),
    // Chrome
    (
        "Chrome on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on Linux",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on Linux",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.6099.28 Safari/537.36",
    ),
    (
        "Chrome on Linux",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/80.0.3987.87 Chrome/80.0.3987.87 Safari/537.36",
    ),
    (
        "Chrome on ChromeOS",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on Android",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Chrome on Android",
        "Mozilla/5.0 (Linux; Android 13; SM-S911B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.5845.163 Mobile Safari/537.36",
    ),
    (
        "Chrome on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
    ),
    (
        "Chrome on iPad",
        "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/123.0.6312.52 Mobile/15E148 Safari/604.1",
    ),
    // Edge
    (
        "Edge on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68",
    ),
    (
        "Edge on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36 Edge/18.19582",
    ),
    (
        "Edge on Windows",
        "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
    ),
    (
        "Edge on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.2535.92",
    ),
    (
        "Edge on Android",
        "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.61 Mobile Safari/537.36 EdgA/125.0.2535.72",
    ),
    (
        "Edge on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/125.2535.72 Mobile/15E148 Safari/605.1.15",
    ),
    // Safari
    (
        "Safari on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    ),
    (
        "Safari on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    ),
    (
        "Safari on iPad",
        "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
    ),
    // Browsers that also say Chrome or Safari
    (
        "Opera on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
    ),
    (
        "Opera on Windows",
        "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
    ),
    (
        "Opera on Android",
        "Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.61 Mobile Safari/537.36 OPR/76.2.4027.73374",
    ),
    (
        "Opera on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1 OPT/4.3.2",
    ),
    (
        "Samsung Internet on Android",
        "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Yandex Browser on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 YaBrowser/24.6.0.0 Safari/537.36",
    ),
    (
        "DuckDuckGo on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    ),
    (
        "DuckDuckGo on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 Ddg/17.4",
    ),
    (
        "Amazon Silk on Android",
        "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/112.5.1 like Chrome/112.0.5615.213 Safari/537.36",
    ),
    (
        "Huawei Browser on Android",
        "Mozilla/5.0 (Linux; Android 10; JNY-LX1; HMSCore 6.13.0.302) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/14.0.5.302 Mobile Safari/537.36",
    ),
    (
        "Mi Browser on Android",
        "Mozilla/5.0 (Linux; U; Android 11; en-gb; Redmi Note 8 Pro Build/RP1A.200720.011) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.5.0-gn",
    ),
    (
        "UC Browser on Android",
        "Mozilla/5.0 (Linux; U; Android 12; en-US; V2027 Build/SP1A.210812.003) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.4.0.1306 Mobile Safari/537.36",
    ),
    (
        "Internet Explorer on Windows",
        "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    ),
    (
        "Internet Explorer on Windows",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
    ),
    (
        "PowerShell on Windows",
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4522",
    ),
    // Programs
    ("curl", "curl/8.5.0"),
    ("Wget", "Wget/1.21.4"),
    ("Wget", "Wget/1.20.3 (linux-gnu)"),
    ("HTTPie", "HTTPie/3.2.2"),
    ("Postman", "PostmanRuntime/7.39.0"),
    ("Python", "python-requests/2.32.3"),
    ("Python", "python-httpx/0.27.0"),
    ("Python", "Python-urllib/3.12"),
    ("Python", "Python/3.11 aiohttp/3.9.5"),
    ("Go", "Go-http-client/1.1"),
    ("Java", "Java/17.0.11"),
    ("Java", "Java-http-client/21.0.3"),
    ("Java", "Apache-HttpClient/4.5.14 (Java/17.0.11)"),
    ("okhttp", "okhttp/4.12.0"),
    ("Node.js", "node"),
    ("Node.js", "axios/1.7.2"),
    ("Ruby", "Ruby"),
    ("PHP", "GuzzleHttp/7"),
    ("Perl", "libwww-perl/6.77"),
    ("Dart", "Dart/3.4 (dart:io)"),
    // Headers that say too little
    ("Unknown client", ""),
    ("Unknown client", "Mozilla/5.0"),
    ("Unknown client", "AcmeTool/1.0"),
    (
        "Unknown client on Android",
        "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
    ),
    (
        "Unknown client on Android",
        "Mozilla/5.0 (Linux; U; Android 4.0.3; de-de; GT-I9100) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
    ),
    (
        "Unknown client on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    ),
    (
        "Unknown client on Linux",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
    ),
];

#[test]
fn clients_have_their_common_names() {
    for (expected, header) in CLIENTS {
        assert_eq!(name(header), *expected, "{header}");
    }
}

#[test]
fn s079_an_update_of_the_browser_or_the_system_changes_nothing() {
    for (old, new) in [
        (
            "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:60.0) Gecko/20100101 Firefox/60.0",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0.2",
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; Pixel 3 Build/PQ1A.181105.017.A1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.110 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/17.17134",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 9_3 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) Version/9.0 Mobile/13E188a Safari/601.1",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
        ),
        (
            "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Safari/537.36 OPR/121.0.0.0",
        ),
        (
            "Mozilla/5.0 (X11; CrOS armv7l 10032.86.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/63.0.3239.140 Safari/537.36",
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        ),
        ("Wget/1.20.3 (linux-gnu)", "Wget/1.25.0"),
        ("Go 1.1 package http", "Go-http-client/2.0"),
        (
            "python-requests/2.6.0 CPython/2.7.5 Linux/3.10.0",
            "python-requests/2.32.4",
        ),
    ] {
        assert_eq!(name(old), name(new), "{new}");
    }
}

#[test]
fn a_name_within_another_word_does_not_count() {
    for header in ["notcurl/1", "xFirefox/140.0", "MyChrome/1 (WindowsNT)"] {
        assert_eq!(name(header), "Unknown client");
    }
}

#[test]
fn only_the_beginning_of_a_header_is_read() {
    let padding = "x".repeat(MAX_HEADER_BYTES);
    assert_eq!(name(&format!("{padding} Firefox/140.0")), "Unknown client");
    assert_eq!(name(&format!("Firefox/140.0 {padding}")), "Firefox");
}

#[test]
fn every_name_has_its_own_number_and_is_read_back_from_it() {
    fn check<T>(words: &[T])
    where
        T: Copy + PartialEq + fmt::Debug + Serialize + serde::de::DeserializeOwned,
    {
        let mut numbers = BTreeSet::new();
        for word in words {
            let number = rmp_serde::to_vec(word).unwrap();
            assert_eq!(number.len(), 1);
            assert_eq!(rmp_serde::from_slice::<T>(&number).unwrap(), *word);
            assert!(numbers.insert(number), "{word:?}");
        }
    }
    check(ClientFamily::ALL);
    check(ClientSystem::ALL);
}

#[test]
fn s138_a_number_of_a_newer_version_is_read_as_unknown() {
    for number in [31_u64, 127, 255, 256, u64::MAX] {
        let bytes = rmp_serde::to_vec(&(number, number)).unwrap();
        let name: ClientName = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(name, ClientName::default());
        assert_eq!(name.to_string(), "Unknown client");
    }
}

proptest! {
    #[test]
    fn s101_any_header_gives_a_name_of_the_fixed_vocabulary(header: Vec<u8>) {
        let name = ClientName::of_user_agent(&header);
        prop_assert!(ClientFamily::ALL.contains(&name.family()));
        prop_assert!(ClientSystem::ALL.contains(&name.system()));
    }

    #[test]
    fn s101_text_around_a_known_name_is_not_repeated(before in "[ -~]{0,40}", after in "\\PC{0,40}") {
        let shown = name(&format!("Mozilla/5.0 {before} Firefox/140.0 {after}"));
        let is_known = |shown: &str| ClientFamily::ALL.iter().any(|family| {
            shown == family.as_str()
                || ClientSystem::ALL.iter().any(|system| shown == format!("{} on {}", family.as_str(), system.as_str()))
        });
        prop_assert!(is_known(&shown), "{}", shown);
    }
}
