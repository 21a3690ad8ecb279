//! A Redis server of the bench, and a blocking client for its statistics.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    process::{Cores, Running},
};

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _process: Running,
}

impl Server {
    /// Starts a server that keeps nothing on disk, on a free port.
    pub(crate) fn start(cores: &Cores) -> Result<Self> {
        for program in ["redis-server", "valkey-server"] {
            match std::process::Command::new(program)
                .arg("--version")
                .output()
            {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                _ => return Self::start_program(program, cores),
            }
        }
        Err("neither redis-server nor valkey-server was found; install one of them and put it on PATH".into())
    }

    fn start_program(program: &str, cores: &Cores) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let process = cores
            .for_redis(program)
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self {
            address,
            _process: Running(process),
        };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            if server
                .client()
                .and_then(|mut client| client.ask(&["PING"]))
                .is_ok()
            {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!(
            "{program} was started on port {port} but does not answer; start it by hand to see why"
        )
        .into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Result<Client> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        // Deleting ten million sessions takes a while.
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Client {
            stream: BufReader::new(stream),
            sent: 0,
            received: 0,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    /// Bytes of our own, which are not those of the servers.
    sent: u64,
    received: u64,
}

/// The statistics of the server.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    /// Seconds of CPU.
    pub(crate) cpu: f64,
    /// Bytes that others sent to it, and that it sent to them.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// How often each command was executed, also from inside scripts.
    calls: BTreeMap<String, u64>,
}

impl Counters {
    /// How many commands were executed since `earlier`, without those that do not come from
    /// requests: the bench's own, and `TIME`, which Portcullis asks for four times a second to know
    /// that the server is up.
    pub(crate) fn calls_since(&self, earlier: &Self) -> u64 {
        let own = ["info", "time", "flushdb"];
        self.calls
            .iter()
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .map(|(name, calls)| calls - earlier.calls.get(name).copied().unwrap_or(0))
            .sum()
    }

    /// Bytes that others and the server have exchanged since `earlier`.
    pub(crate) fn bytes_since(&self, earlier: &Self) -> u64 {
        let total = |counters: &Self| counters.received + counters.sent;
        total(self).saturating_sub(total(earlier))
    }
}

impl Client {
    /// The reply to a command, as text. Elements of a list are separated by line breaks.
    pub(crate) fn ask(&mut self, command: &[&str]) -> Result<String> {
        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(text.as_bytes())?;
        self.sent += u64::try_from(text.len())?;
        let reply = self.reply()?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// The next reply, or line of `MONITOR`.
    pub(crate) fn reply(&mut self) -> Result<Vec<u8>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("Redis closed the connection".into());
        }
        self.received += u64::try_from(line.len())?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or("an empty reply of Redis")?;
        match kind {
            "+" | ":" => Ok(rest.into()),
            "-" => Err(format!("Redis: {rest}").into()),
            "$" => {
                let Ok(length) = rest.parse::<usize>() else {
                    return Ok(Vec::new());
                };
                let mut value = vec![0; length + 2];
                self.stream.read_exact(&mut value)?;
                self.received += u64::try_from(value.len())?;
                value.truncate(length);
                Ok(value)
            }
            "*" => {
                let mut list = Vec::new();
                for _ in 0..rest.parse::<usize>().unwrap_or(0) {
                    list.extend(self.reply()?);
                    list.push(b'\n');
                }
                Ok(list)
            }
            _ => Err(format!("a reply of Redis that is not understood: {line}").into()),
        }
    }

    pub(crate) fn own_address(&self) -> Result<SocketAddr> {
        Ok(self.stream.get_ref().local_addr()?)
    }

    /// Forgets every session, and waits until that is done.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.ask(&["FLUSHDB", "SYNC"]).map(drop)
    }

    pub(crate) fn number(&mut self, command: &[&str]) -> Result<u64> {
        Ok(self.ask(command)?.parse()?)
    }

    /// One value of `INFO`.
    pub(crate) fn info(&mut self, section: &str, name: &str) -> Result<String> {
        let text = self.ask(&["INFO", section])?;
        Ok(value(&text, name)?.to_owned())
    }

    pub(crate) fn number_of_info(&mut self, section: &str, name: &str) -> Result<u64> {
        Ok(self.info(section, name)?.parse()?)
    }

    pub(crate) fn counters(&mut self) -> Result<Counters> {
        let user: f64 = self.info("cpu", "used_cpu_user")?.parse()?;
        let system: f64 = self.info("cpu", "used_cpu_sys")?.parse()?;
        let calls = self.ask(&["INFO", "commandstats"])?;
        let calls = calls.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        });
        let calls = calls.collect();
        let before = self.received;
        let stats = self.ask(&["INFO", "stats"])?;
        let of = |name| -> Result<u64> { Ok(value(&stats, name)?.parse()?) };
        let (received, sent) = (of("total_net_input_bytes")?, of("total_net_output_bytes")?);
        Ok(Counters {
            cpu: user + system,
            // Redis counts the request for this value, but not yet the answer.
            received: received.saturating_sub(self.sent),
            sent: sent.saturating_sub(before),
            calls,
        })
    }
}

/// One value in the text of `INFO`.
fn value<'a>(info: &'a str, name: &str) -> Result<&'a str> {
    let value = info
        .lines()
        .find_map(|line| line.split_once(':').filter(|(key, _)| *key == name));
    let (_, value) = value.ok_or(format!("INFO does not have {name}"))?;
    Ok(value.trim_end())
}
