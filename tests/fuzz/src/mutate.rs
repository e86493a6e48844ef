//! Changes to an input, by chance.

use serde_json::{Map, Value, json};

use crate::{Target, random::Random};

/// Words of frames.
pub const FRAME: &[&str] = &[
    "\"type\":\"hello\"",
    "\"type\":\"subscribe\"",
    "\"type\":\"unsubscribe\"",
    "\"type\":\"call\"",
    "\"type\":\"pong\"",
    "\"type\":\"presence\"",
    "\"type\":\"credit\"",
    "\"type\":\"snapshot\"",
    "\"type\":\"reply\"",
    "\"type\":\"ping\"",
    "\"type\":\"x_new\"",
    "\"seq\":",
    "\"prev\":0",
    "\"rid\":",
    "\"rooms\":[\"host\",\"project/project/**\"]",
    "\"room\":\"activity\"",
    "\"resume\":\"abcd.0\"",
    "\"resume\":\"@cursor\"",
    "run/@run",
    "\"method\":\"run.log\"",
    "\"params\":null",
    "\"key\":\"k\"",
    "null",
];
/// Words of workflow files.
pub const WORKFLOW: &[&str] = &[
    "signalbox: 1\n",
    "name: ",
    "steps:\n",
    "needs: [",
    "kind: command",
    "kind: approval",
    "kind: notify",
    "kind: agent",
    "run: ",
    "matrix: { axes: { a: [1, 2] } }",
    "key: ",
    "inputs:\n",
    "env: { A: \"${{ env.A }}\" }",
    "${{ inputs.a }}",
    "${{ secrets.",
    "concurrency: { group: \"${{ env.A }}\" }",
    "on_reject: { rerun_from: ",
    "form: {",
    "show: [",
    "if: ",
    "timeout: 1h",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "- ",
    "? ",
    ": ",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "#",
    "\t",
    "\r",
    "%YAML 1.2\n",
    "~",
    "yes",
    "0x7fffffff",
    ".inf",
    ".nan",
    "1_000",
    "\"\\u0000\"",
    "'",
    "\"",
];
/// Words of conversations with a coding agent.
pub const AGENT: &[&str] = &[
    "\n",
    "\n>",
    ">{\"id\":2,\"method\":\"session/prompt\",\"params\":{}}\n",
    ">{\"method\":\"session/cancel\",\"params\":{}}\n",
    ">{\"id\":0,\"result\":{\"outcome\":{\"outcome\":\"cancelled\"}}}\n",
    "{\"id\":2,\"result\":{\"stopReason\":\"end_turn\"}}\n",
    "\"id\":0",
    "\"method\":\"session/request_permission\"",
    "\"sessionUpdate\":\"tool_call\"",
    "\"sessionUpdate\":\"tool_call_update\"",
    "\"sessionUpdate\":\"agent_message_chunk\"",
    "\"sessionUpdate\":\"agent_thought_chunk\"",
    "\"sessionUpdate\":\"plan\"",
    "\"sessionUpdate\":\"usage_update\"",
    "\"toolCallId\":\"a\"",
    "\"messageId\":\"m\"",
    "\"status\":\"completed\"",
    "\"status\":\"pending\"",
    "\"kind\":\"execute\"",
    "\"text\":\"This stream breaks off in the middle of\"",
    "\"type\":\"diff\"",
    "\"todos\":[{\"content\":\"x\"}]",
    "\"options\":[{\"optionId\":\"y\",\"kind\":\"reject_once\"}]",
    "null",
    "[]",
    "{}",
    "-1",
    "1e308",
];
/// Words of expressions.
pub const EXPRESSION: &[&str] = &[
    "${{",
    "}}",
    "$${{",
    "inputs.a",
    "inputs['a']",
    "steps.a.outputs.x",
    "matrix.stack",
    "run.number",
    "secrets.X",
    " in ",
    " && ",
    " || ",
    "==",
    "!=",
    "<=",
    "!",
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "'",
    "''",
    "'}}'",
    "true",
    "null",
    "1e9",
    "1e-7",
    "-0",
    "0.1",
    "default(",
    "contains(",
    "to_json(",
    "from_json(",
    "hash_files(",
    "starts_with(",
    "success()",
    "always()",
    "always",
];
/// Words of names.
pub const NAME: &[&str] = &[
    "host",
    "activity",
    "project/",
    "run/",
    "/**",
    "r_",
    "a_",
    "m_",
    "x_",
    ".",
    "0",
    "9007199254740991",
    "9007199254740992",
    "+",
    "-",
    "365d",
    "1h30m",
    "ms",
    "\n",
    "{\"",
    "step_updated\n",
    "error\n",
    "progress_update\n",
    "\u{202e}",
];
/// Words of output.
pub const OUTPUT: &[&str] = &[
    "64 ",
    "|",
    "\n",
    "\r\n",
    "\u{1b}]9;4;1;40;x\u{7}",
    "\u{1b}]9;4;1;50\u{1b}\\",
    "\u{1b}]9;4;",
    "\u{1b}",
    "\\",
    "\u{7}",
    "aaaa",
    "abcab",
    "abab",
    "tokentok",
    "token",
    "***",
    "*",
    "ä",
    "€",
    "\u{fffd}",
];
/// Words of calls.
pub const CALL: &[&str] = &[
    "@run",
    "@approval",
    "@member",
    "@cursor",
    "@dir/project",
    "\"project\":\"project\"",
    "\"project\":\"drafts\"",
    " viewer",
    " operator",
    " owner k1",
    "\"limit\":",
    "\"before\":",
    "\"offset\":",
    "\"attempt\":",
    "\"step\":\"ask\"",
    "\"text\":",
    "\"\\\"\"",
    "../",
    "x_a",
];
/// Words of requests.
pub const HTTP: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "OPTIONS ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: @address\r\n",
    "Authorization: Bearer @token\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Connection: keep-alive\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "Last-Event-ID: @cursor\r\n",
    "Idempotency-Key: k\r\n",
    "Cookie: signalbox_session=@token\r\n",
    "Origin: http://@address\r\n",
    "/api/v1/call/run.get",
    "/api/v1/events?rooms=host,activity",
    "/api/v1/projects/project/events",
    "/api/v1/ws",
    "/api/v1/blobs/",
    "/api/v1/schemas/",
    "?token=x",
    "%00",
    "%2e%2e/",
    "\r\n\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    ";ext=1\r\n",
];

/// Texts that trouble somebody somewhere: control characters, other writing directions, broken UTF-8, line ends.
const HOSTILE: &[&[u8]] = &[
    b"\0",
    b"\r\n",
    b"\r",
    b"\n",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{85}".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{1f469}\u{200d}\u{1f467}".as_bytes(),
    b"\x1b[2J",
    b"%s%n",
    b"'\"`",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e309",
    "-0.0",
    "5e-324",
    "0.1",
    "1.7976931348623157e308",
    "2.2250738585072011e-308",
    "123456789012345678901234567890",
];

/// An input made from one of the corpus, and sometimes from another as well.
#[must_use]
pub fn mutated(target: &Target, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        match random.below(14) {
            0 => flip(&mut data, random),
            1 => cut(&mut data, random),
            2 => repeat(&mut data, random),
            3 => nest(&mut data, random),
            4 => {
                let at = random.below(data.len() + 1);
                data.truncate(at);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                splice(&mut data, other, random);
            }
            6 => {
                let word = random.choose(HOSTILE);
                insert(&mut data, word, random);
            }
            7 | 8 => number(&mut data, random),
            9..=11 => lines_of_json(&mut data, random),
            _ if target.words.is_empty() => flip(&mut data, random),
            _ => {
                let word = random.choose(target.words);
                insert(&mut data, word.as_bytes(), random);
            }
        }
    }
    data.truncate(target.longest);
    data
}

fn span(data: &[u8], random: &mut Random, longest: usize) -> std::ops::Range<usize> {
    let start = random.below(data.len() + 1);
    let end = (start + random.below(longest)).min(data.len());
    start..end
}

fn flip(data: &mut [u8], random: &mut Random) {
    let at = random.below(data.len());
    if let Some(byte) = data.get_mut(at) {
        match random.below(3) {
            0 => *byte ^= 1 << random.below(8),
            1 => *byte = random.choose(b"\0\x01\x7f\x80\xff{}[]\"':,. \n\r\t0Aa"),
            _ => *byte = random.next().to_le_bytes()[0],
        }
    }
}

fn cut(data: &mut Vec<u8>, random: &mut Random) {
    let range = span(data, random, 40);
    data.drain(range);
}

fn repeat(data: &mut Vec<u8>, random: &mut Random) {
    let range = span(data, random, 60);
    let (end, part) = (range.end, data[range].repeat(1 + random.below(6)));
    data.splice(end..end, part);
}

/// Deep nesting: the same opening many times, mostly without its end.
fn nest(data: &mut Vec<u8>, random: &mut Random) {
    let opening: &[u8] = random.choose(&[
        &b"["[..],
        b"{\"a\":",
        b"(",
        b"!",
        b"- ",
        b"{a: ",
        b"default(null, ",
        b"[0]",
        b".a",
        b" || a",
        b"\"",
    ]);
    let at = random.below(data.len() + 1);
    let many = opening.repeat(1 + random.below(300));
    data.splice(at..at, many);
}

fn splice(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let taken = other[span(other, random, other.len() + 1)].to_vec();
    let range = span(data, random, 200);
    data.splice(range, taken);
}

fn insert(data: &mut Vec<u8>, word: &[u8], random: &mut Random) {
    let at = random.below(data.len() + 1);
    data.splice(at..at, word.iter().copied());
}

/// Another number in the place of one that is there.
fn number(data: &mut Vec<u8>, random: &mut Random) {
    let starts = |at: &usize| data[*at].is_ascii_digit() && (*at == 0 || !data[*at - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..data.len()).filter(starts).collect();
    let new = random.choose(NUMBERS).as_bytes();
    if starts.is_empty() {
        return insert(data, new, random);
    }
    let start = random.choose(&starts);
    let length = data[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    data.splice(start..start + length, new.iter().copied());
}

/// Changes values within one line that is JSON, so that it stays JSON.
fn lines_of_json(data: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let json: Vec<usize> = (0..lines.len()).filter(|at| matches!(lines[*at].first(), Some(b'{' | b'['))).collect();
    let Some(at) = json.get(random.below(json.len())).copied() else { return flip(data, random) };
    let Ok(mut value) = serde_json::from_slice::<Value>(lines[at]) else { return flip(data, random) };
    change(&mut value, random, 0);
    let text = value.to_string();
    lines[at] = text.as_bytes();
    *data = lines.join(&b'\n');
}

fn change(value: &mut Value, random: &mut Random, depth: usize) {
    let deeper = depth < 6 && random.percent(70);
    match value {
        Value::Object(map) if deeper && !map.is_empty() => fields(map, random, depth),
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(6) {
                0 => {
                    items.remove(at);
                }
                1 => items.push(items[at].clone()),
                2 => {
                    let copy = items[at].clone();
                    items.extend(std::iter::repeat_n(copy, random.below(40)));
                }
                _ => change(&mut items[at], random, depth + 1),
            }
        }
        value => *value = any(value, random),
    }
}

fn fields(map: &mut Map<String, Value>, random: &mut Random, depth: usize) {
    let name = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
    match random.below(8) {
        0 => {
            map.shift_remove(&name);
        }
        1 => {
            map.insert("more".into(), json!({ "a": [1, null] }));
        }
        2 => {
            // Another order.
            if let Some(taken) = map.shift_remove(&name) {
                map.insert(name, taken);
            }
        }
        _ => {
            if let Some(value) = map.get_mut(&name) {
                change(value, random, depth + 1);
            }
        }
    }
}

fn any(old: &Value, random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::Null,
        1 => json!(random.percent(50)),
        2 => json!([]),
        3 => json!({}),
        4 => json!("x".repeat(random.below(300))),
        5 => Value::String(String::from_utf8_lossy(random.choose(HOSTILE)).into_owned()),
        6 => match old.as_str() {
            Some(text) => {
                let mut bytes = text.as_bytes().to_vec();
                flip(&mut bytes, random);
                Value::String(String::from_utf8_lossy(&bytes).into_owned())
            }
            None => json!(old.to_string()),
        },
        _ => serde_json::from_str(random.choose(NUMBERS)).unwrap_or(Value::Null),
    }
}
