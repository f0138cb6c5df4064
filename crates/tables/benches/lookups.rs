//! Loading and asking large tables; figures, not assertions. `cargo bench -p waxseal-tables [--bench lookups]`

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use waxseal_tables::{Options, Table};

const LINES: usize = 1_000_000;
const RULES: usize = 10_000;

/// The memory of this process, in octets.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
}

/// The best of several runs, for one of `count` things.
fn best(count: usize, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed() / u32::try_from(count).unwrap_or(u32::MAX)
    };
    (0..7).map(time).min().unwrap_or_default()
}

fn open(kind: &str, path: &std::path::Path) -> Result<Table, Box<dyn std::error::Error>> {
    let past = SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(path)?.set_modified(past)?;
    Ok(Table::open(&format!("{kind}:{}", path.display()), Options::default())?)
}

fn texthash(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.join("texthash");
    let lines: String =
        (0..LINES).map(|n| format!("d{n}.example.com secure match=mx{n}.example.net\n")).collect();
    fs::write(&path, &lines)?;
    println!("texthash of {LINES} lines, {} octets a line", lines.len() / LINES);
    drop(lines);
    let before = memory();
    let start = Instant::now();
    let table = open("texthash", &path)?;
    let took = start.elapsed();
    println!("  loads in {took:.2?}, {} octets of memory a line", (memory() - before) / LINES);

    let parents = [
        "a.b.c.d.e.example.org",
        ".b.c.d.e.example.org",
        ".c.d.e.example.org",
        ".d.e.example.org",
        ".e.example.org",
        ".example.org",
    ];
    let miss = best(100_000, || {
        for _ in 0..100_000 {
            for key in parents {
                let _ = black_box(table.find(black_box(key)));
            }
        }
    });
    println!("  a lookup that misses through 5 parents: {miss:.0?}");
    let keys: Vec<String> = (0..10_000).map(|n| format!("d{}.example.com", n * 97)).collect();
    let hit = best(keys.len(), || {
        for key in &keys {
            let _ = black_box(table.find(key));
        }
    });
    println!("  one that is found: {hit:.0?}");
    Ok(())
}

fn regexp(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.join("regexp");
    let pattern = |n: usize| match n % 2 {
        0 => format!("^mx{n}\\.(example|test)\\.(com|net)$"),
        _ => format!("(^|\\.)d{n}\\.example\\.net$"),
    };
    let patterns: Vec<String> = (0..RULES).map(pattern).collect();
    let rules: String = patterns.iter().map(|pattern| format!("/{pattern}/ secure\n")).collect();
    fs::write(&path, rules)?;
    let start = Instant::now();
    let table = open("regexp", &path)?;
    println!("regexp of {RULES} rules loads in {:.2?}", start.elapsed());
    let combined = regex::bytes::RegexSetBuilder::new(&patterns)
        .case_insensitive(true)
        .unicode(false)
        .size_limit(1 << 30)
        .dfa_size_limit(1 << 30)
        .build()?;
    let keys = |key: &dyn Fn(usize) -> String| (0..1000).map(key).collect::<Vec<_>>();
    for (what, keys) in [
        ("one miss again and again", keys(&|_| "mail.nobody.example.org".to_owned())),
        ("a thousand misses", keys(&|n| format!("mail{}.nobody{n}.example.org", n * 7 % 100))),
        ("the last rule", keys(&|n| format!("mail{n}.d9999.example.net"))),
        ("rules all over", keys(&|n| format!("mx{}.example.com", n * 10))),
    ] {
        let ours = best(keys.len(), || {
            for key in &keys {
                let _ = black_box(table.find(black_box(key)));
            }
        });
        let theirs = best(keys.len(), || {
            for key in &keys {
                let _ = black_box(combined.matches(black_box(key.as_bytes())).iter().next());
            }
        });
        let times = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("  {what}: {ours:.2?}; one combined automaton {theirs:.2?}; {times:.2} times");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    texthash(folder.path())?;
    regexp(folder.path())
}
