//! The part of the protocol of Redis that tests need.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the protocol has no more")]
pub enum Answer {
    /// A string or a status.
    Bytes(Vec<u8>),
    /// A number.
    Integer(i64),
    /// A list.
    List(Vec<Answer>),
    /// An absent value.
    Nil,
    /// An error, with its text.
    Error(String),
}

impl Answer {
    /// The text of a string or a status.
    ///
    /// # Panics
    ///
    /// When it is something else.
    pub fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The number.
    ///
    /// # Panics
    ///
    /// When it is something else.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The texts of a list.
    ///
    /// # Panics
    ///
    /// When it is something else.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::List(items) => items.iter().map(Self::text).collect(),
            other => panic!("not a list: {other:?}"),
        }
    }
}

/// Sends one command over a new connection.
pub(super) fn ask(port: u16, command: &[&[u8]]) -> io::Result<Answer> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    (&stream).write_all(&request)?;
    read(&mut BufReader::new(&stream))
}

fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at(1);
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    Ok(match kind {
        "+" => Answer::Bytes(rest.into()),
        "-" => Answer::Error(rest.into()),
        ":" => Answer::Integer(number()?),
        "$" | "*" if number()? < 0 => Answer::Nil,
        "$" => {
            let mut bytes = vec![0; usize::try_from(number()?).map_err(io::Error::other)? + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Answer::Bytes(bytes)
        }
        "*" => Answer::List(
            (0..number()?)
                .map(|_| read(from))
                .collect::<io::Result<_>>()?,
        ),
        other => return Err(io::Error::other(format!("unknown kind {other}"))),
    })
}
