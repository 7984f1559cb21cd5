//! A mail server that takes everything and keeps nothing, so that what is measured is the sender.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

#[derive(Args)]
pub(crate) struct SinkArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:2525")]
    listen: String,
}

/// Serves until Ctrl-C and reports how many mails came.
pub(crate) async fn run(arguments: SinkArguments) -> anyhow::Result<Value> {
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .context("--listen cannot be listened on")?;
    println!("listening {}", listener.local_addr()?);
    let mails = Arc::new(AtomicU64::new(0));
    let counted = mails.clone();
    let serving = async move {
        loop {
            let (stream, _) = listener.accept().await?;
            let counted = counted.clone();
            tokio::spawn(async move {
                // A sender that goes away in the middle is its own affair.
                let _ = talk(stream, &counted).await;
            });
        }
    };
    let ended: anyhow::Result<()> = tokio::select! {
        ended = serving => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
    };
    ended.map(|()| json!({"mode": "smtp-sink", "mails": mails.load(Ordering::Relaxed)}))
}

/// Asks a sink how many mails it has taken; it answers `HELP` with the number.
pub(crate) async fn taken(address: &str) -> anyhow::Result<u64> {
    let stream = TcpStream::connect(address)
        .await
        .context("--sink names no server")?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"HELP\r\nQUIT\r\n").await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(number) = line.strip_prefix("214 ") {
            return number
                .trim()
                .parse()
                .context("--sink is another kind of mail server");
        }
    }
    anyhow::bail!("--sink is another kind of mail server")
}

async fn talk(stream: TcpStream, mails: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink.test ESMTP\r\n").await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_slice() {
            b"EHLO" => {
                stream
                    .write_all(b"250-sink.test\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n")
                    .await?
            }
            b"HELP" => {
                let answer = format!("214 {}\r\n", mails.load(Ordering::Relaxed));
                stream.write_all(answer.as_bytes()).await?;
            }
            b"DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                skip_message(&mut stream, &mut line).await?;
                mails.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"250 2.0.0 taken over\r\n").await?;
            }
            b"QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            _ => stream.write_all(b"250 2.0.0 ok\r\n").await?,
        }
    }
}

async fn skip_message(
    stream: &mut BufReader<TcpStream>,
    line: &mut Vec<u8>,
) -> std::io::Result<()> {
    loop {
        line.clear();
        if stream.read_until(b'\n', line).await? == 0 || line == b".\r\n" {
            return Ok(());
        }
    }
}
