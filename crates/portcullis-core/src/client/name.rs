//! The name of a client, in a fixed vocabulary.

use std::{fmt, iter};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many bytes of the header are read. Real headers have a third of that, so the limit cuts only
/// those that were made up.
const MAX_HEADER_BYTES: usize = 512;

/// The name of a client: `Firefox on Windows`, `Safari on iPhone`, `curl`, `Unknown client`.
///
/// It is read from the `User-Agent` field into a fixed vocabulary. So nothing that a client sends
/// is ever shown, logged or stored. It holds no version, so that an update of the browser changes
/// nothing.
///
/// It proves nothing, since clients name themselves. Brave says that it is Chrome. An iPad that
/// asks for the desktop version of a page says that it is a Mac.
///
/// Later versions may know more names, and may distinguish clients that have one name today.
///
/// ```
/// # use portcullis_core::ClientName;
/// assert_eq!(ClientName::of_user_agent(b"curl/8.5.0").to_string(), "curl");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientName {
    family: ClientFamily,
    system: ClientSystem,
}

impl ClientName {
    /// Reads the value of a `User-Agent` field. Pass an empty value for an absent field.
    pub fn of_user_agent(header: &[u8]) -> Self {
        let header = header.get(..MAX_HEADER_BYTES).unwrap_or(header);
        let mut products = header
            .split(|byte| matches!(byte, b' ' | b';' | b',' | b'(' | b')'))
            .filter(|word| !word.is_empty())
            .filter_map(|word| word.split(|byte| *byte == b'/').next());
        let first = products.next().unwrap_or_default();
        if let Some(family) = program(first) {
            // Whether a program names its system depends on its version.
            return Self {
                family,
                system: ClientSystem::Unknown,
            };
        }
        let (mut of_family, mut of_system) = (None, None);
        for product in iter::once(first).chain(products) {
            keep_most_specific(&mut of_family, browser(product));
            keep_most_specific(&mut of_system, system(product));
        }
        let name = Self {
            family: of_family.map(|(_, family)| family).unwrap_or_default(),
            system: of_system.map(|(_, system)| system).unwrap_or_default(),
        };
        name.without_false_safari()
    }

    /// The browser or program.
    pub fn family(self) -> ClientFamily {
        self.family
    }

    /// The system that it runs on. It is always unknown for programs other than browsers.
    pub fn system(self) -> ClientSystem {
        self.system
    }

    /// The numbers under which it is stored.
    pub(super) fn numbers(self) -> (u64, u64) {
        (self.family as u64, self.system as u64)
    }

    pub(super) fn of_numbers(family: u64, system: u64) -> Self {
        Self {
            family: ClientFamily::of_number(family),
            system: ClientSystem::of_number(system),
        }
    }

    /// Nearly every browser says Safari. Only Apple's systems have it.
    fn without_false_safari(self) -> Self {
        let apple = matches!(
            self.system,
            ClientSystem::MacOs | ClientSystem::IPhone | ClientSystem::IPad
        );
        match self.family {
            ClientFamily::Safari if !apple => Self {
                family: ClientFamily::Unknown,
                ..self
            },
            _ => self,
        }
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.as_str())?;
        match self.system {
            ClientSystem::Unknown => Ok(()),
            system => write!(f, " on {}", system.as_str()),
        }
    }
}

/// How specific a product name is. The most specific one in a header counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// Nearly every browser sends it.
    Common,
    /// The browser or system itself sends it, and so do those derived from it.
    Shared,
    /// Only the browser or system itself sends it.
    Own,
}

/// Of names of one rank the last counts: browsers append their name to those they imitate.
fn keep_most_specific<T>(best: &mut Option<(Specificity, T)>, next: Option<(Specificity, T)>) {
    if let Some((specificity, _)) = &next
        && best.as_ref().is_none_or(|(other, _)| specificity >= other)
    {
        *best = next;
    }
}

/// A program's own name comes first, and identifies it.
fn program(product: &[u8]) -> Option<ClientFamily> {
    Some(match product {
        b"curl" => ClientFamily::Curl,
        b"Wget" | b"Wget2" => ClientFamily::Wget,
        b"HTTPie" => ClientFamily::Httpie,
        b"PostmanRuntime" => ClientFamily::Postman,
        b"insomnia" | b"Insomnia" => ClientFamily::Insomnia,
        b"Python" | b"Python-urllib" | b"python-requests" | b"python-httpx" | b"python-urllib3" => {
            ClientFamily::Python
        }
        b"Go-http-client" | b"Go" | b"go-resty" => ClientFamily::Go,
        b"Java" | b"Java-http-client" | b"Apache-HttpClient" => ClientFamily::Java,
        b"okhttp" => ClientFamily::OkHttp,
        b"node" | b"node-fetch" | b"undici" | b"axios" | b"got" => ClientFamily::Node,
        b"Ruby" | b"Faraday" | b"rest-client" | b"http.rb" => ClientFamily::Ruby,
        b"PHP" | b"GuzzleHttp" => ClientFamily::Php,
        b"libwww-perl" | b"HTTP-Tiny" => ClientFamily::Perl,
        b"reqwest" | b"hyper" | b"ureq" => ClientFamily::Rust,
        b"Dart" => ClientFamily::Dart,
        _ => return None,
    })
}

fn browser(product: &[u8]) -> Option<(Specificity, ClientFamily)> {
    let own = match product {
        b"Safari" => return Some((Specificity::Common, ClientFamily::Safari)),
        b"Chrome" | b"HeadlessChrome" | b"Chromium" => {
            return Some((Specificity::Shared, ClientFamily::Chrome));
        }
        b"CriOS" => ClientFamily::Chrome,
        b"Firefox" | b"FxiOS" | b"Focus" | b"Klar" => ClientFamily::Firefox,
        b"Edg" | b"EdgA" | b"EdgiOS" | b"Edge" => ClientFamily::Edge,
        b"OPR" | b"OPX" | b"OPT" | b"OPiOS" | b"Opera" => ClientFamily::Opera,
        b"SamsungBrowser" => ClientFamily::SamsungInternet,
        b"MSIE" | b"Trident" => ClientFamily::InternetExplorer,
        b"YaBrowser" => ClientFamily::YandexBrowser,
        b"DuckDuckGo" | b"Ddg" => ClientFamily::DuckDuckGo,
        b"UCBrowser" | b"UBrowser" => ClientFamily::UcBrowser,
        b"Silk" => ClientFamily::AmazonSilk,
        b"HuaweiBrowser" => ClientFamily::HuaweiBrowser,
        b"XiaoMi" | b"MiuiBrowser" => ClientFamily::MiBrowser,
        b"PowerShell" | b"WindowsPowerShell" => ClientFamily::PowerShell,
        _ => return None,
    };
    Some((Specificity::Own, own))
}

fn system(product: &[u8]) -> Option<(Specificity, ClientSystem)> {
    Some(match product {
        b"Linux" => (Specificity::Common, ClientSystem::Linux),
        b"Android" => (Specificity::Shared, ClientSystem::Android),
        b"iPhone" => (Specificity::Shared, ClientSystem::IPhone),
        b"Macintosh" => (Specificity::Shared, ClientSystem::MacOs),
        b"CrOS" => (Specificity::Own, ClientSystem::ChromeOs),
        b"iPad" => (Specificity::Own, ClientSystem::IPad),
        b"Windows" => (Specificity::Own, ClientSystem::Windows),
        _ => return None,
    })
}

/// An enum of names. Each is stored as a number that is never given to another name. A number of a
/// newer version is read as unknown.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $unknown:literal, {
        $($(#[$word_doc:meta])* $word:ident = $number:literal, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            /// None of the others, or not recognisable.
            #[default]
            Unknown = 0,
            $(#[doc = $text] $(#[$word_doc])* $word = $number,)*
        }

        impl $name {
            #[cfg(test)]
            const ALL: &[Self] = &[Self::Unknown, $(Self::$word),*];

            fn of_number(number: u64) -> Self {
                match number {
                    $($number => Self::$word,)*
                    _ => Self::Unknown,
                }
            }

            /// The name to show to users.
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::Unknown => $unknown,
                    $(Self::$word => $text,)*
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u8(*self as u8)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                u64::deserialize(deserializer).map(Self::of_number)
            }
        }
    };
}

vocabulary! {
    /// The browser or program that a client says it is.
    ClientFamily, "Unknown client", {
        Firefox = 1, "Firefox";
        /// and browsers that send the same name, such as Brave.
        Chrome = 2, "Chrome";
        Edge = 3, "Edge";
        Safari = 4, "Safari";
        Opera = 5, "Opera";
        SamsungInternet = 6, "Samsung Internet";
        InternetExplorer = 7, "Internet Explorer";
        YandexBrowser = 8, "Yandex Browser";
        DuckDuckGo = 9, "DuckDuckGo";
        UcBrowser = 10, "UC Browser";
        AmazonSilk = 11, "Amazon Silk";
        HuaweiBrowser = 12, "Huawei Browser";
        MiBrowser = 13, "Mi Browser";
        Curl = 32, "curl";
        Wget = 33, "Wget";
        Httpie = 34, "HTTPie";
        Postman = 35, "Postman";
        Insomnia = 36, "Insomnia";
        PowerShell = 37, "PowerShell";
        Python = 38, "Python";
        Go = 39, "Go";
        Java = 40, "Java";
        OkHttp = 41, "okhttp";
        Node = 42, "Node.js";
        Ruby = 43, "Ruby";
        Php = 44, "PHP";
        Perl = 45, "Perl";
        Rust = 46, "Rust";
        Dart = 47, "Dart";
    }
}

vocabulary! {
    /// The system that a client says it runs on.
    ClientSystem, "unknown system", {
        Windows = 1, "Windows";
        MacOs = 2, "macOS";
        Linux = 3, "Linux";
        ChromeOs = 4, "ChromeOS";
        Android = 5, "Android";
        IPhone = 6, "iPhone";
        IPad = 7, "iPad";
    }
}

#[cfg(test)]
mod tests;
