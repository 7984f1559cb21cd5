//! CPU time of other processes, read from /proc (Linux).

use std::process::Command;

use anyhow::Context as _;

/// Seconds of CPU time, user and system, that these processes have used so far.
pub(crate) fn seconds_of(processes: &[u32]) -> anyhow::Result<f64> {
    let ticks: u64 = processes
        .iter()
        .map(|process| ticks_of(*process))
        .sum::<anyhow::Result<u64>>()?;
    Ok(ticks as f64 / ticks_per_second())
}

/// Bytes of this process in memory, now and at most.
pub(crate) fn resident_bytes() -> anyhow::Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.with_context(|| format!("/proc/self/status has no {name}"))
    };
    Ok((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
}

fn ticks_of(process: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("there is no process {process} to watch"))?;
    // The command, in brackets, may hold blanks; utime and stime are fields 14 and 15 (proc(5)).
    let (_, fields) = stat
        .rsplit_once(')')
        .context("a stat line names its command")?;
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|field| Ok(field.parse::<u64>()?)).sum()
}

fn ticks_per_second() -> f64 {
    let answer = Command::new("getconf").arg("CLK_TCK").output().ok();
    let text = answer.and_then(|output| String::from_utf8(output.stdout).ok());
    // 100 on every Linux of this century; asked for all the same.
    text.and_then(|text| text.trim().parse().ok())
        .unwrap_or(100.0)
}
