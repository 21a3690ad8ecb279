//! An HTTP/1.1 client that costs as little as possible.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Result;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a str,
    head: &'a str,
}

impl Answer<'_> {
    /// The cookies that a browser would send back: `name=value` of every cookie that was set.
    pub(crate) fn cookies(&self) -> Option<String> {
        let set: Vec<_> = fields(self.head)
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            .filter_map(|(_, value)| value.split(';').next())
            .filter(|pair| !pair.ends_with('='))
            .collect();
        (!set.is_empty()).then(|| set.join("; "))
    }
}

/// The header fields of a browser, which some libraries read.
const BROWSER: &str = "\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.5\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    sec-fetch-dest: document\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-site: same-origin\r\n";

/// The bytes of a request, as a browser would send it.
pub(crate) fn request(method: &str, path: &str, cookie: Option<&str>, body: &str) -> String {
    let cookie = cookie.map_or_else(String::new, |cookie| format!("cookie: {cookie}\r\n"));
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench.test\r\n{BROWSER}{cookie}content-length: {length}\r\n\r\n{body}"
    )
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    pub(crate) async fn send(&mut self, request: &str) -> Result<Answer<'_>> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        while length(&self.buffer)?.is_none_or(|length| self.buffer.len() < length) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        answer(&self.buffer)
    }
}

fn split(buffer: &[u8]) -> Option<(&str, &[u8])> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = buffer.split_at_checked(end + 4)?;
    Some((str::from_utf8(head).ok()?, body))
}

fn fields(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(": "))
}

/// The length of the whole response, once its head is complete.
fn length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some((head, _)) = split(buffer) else {
        return Ok(None);
    };
    let length = fields(head)
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without content-length")?;
    Ok(Some(head.len() + length.1.parse::<usize>()?))
}

fn answer(buffer: &[u8]) -> Result<Answer<'_>> {
    let (head, body) = split(buffer).ok_or("an answer that is not HTTP")?;
    let status = head
        .split(' ')
        .nth(1)
        .ok_or("an answer without a status")?
        .parse()?;
    Ok(Answer {
        status,
        body: str::from_utf8(body)?,
        head,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=; Max-Age=0\r\n\
        set-cookie: c=3\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn an_answer_is_complete_with_its_last_byte_and_not_before() {
        assert_eq!(length(ANSWER).unwrap(), Some(ANSWER.len()));
        let cut = ANSWER.split_last_chunk::<3>().unwrap().0;
        assert_eq!(length(cut).unwrap(), None);
    }

    #[test]
    fn status_and_body_are_found_and_of_the_cookies_those_that_were_set() {
        let answer = answer(ANSWER).unwrap();
        assert_eq!((answer.status, answer.body), (200, "ok"));
        assert_eq!(answer.cookies().as_deref(), Some("a=1; c=3"));
    }
}
