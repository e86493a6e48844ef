//! The TypeScript types of the UI and of other programs, generated from the Rust types.

use std::{any::TypeId, collections::BTreeMap, collections::HashSet, fmt::Write};

use signalbox_model::EventData;
use ts_rs::{Config, TS, TypeVisitor};

use crate::{ClientFrame, HostFrame, method};

struct Declarations<'a> {
    config: &'a Config,
    seen: HashSet<TypeId>,
    texts: BTreeMap<String, String>,
}

impl TypeVisitor for Declarations<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        if T::output_path().is_some() {
            let name = T::ident(self.config);
            let mut text = String::new();
            if let Some(docs) = T::docs() {
                text.push_str(docs.trim_end());
                text.push('\n');
            }
            let _ = writeln!(text, "export {}", T::decl(self.config));
            self.texts.insert(name, text);
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// The whole module, as written to `ui/src/platform/protocol.ts`.
#[must_use]
pub fn module() -> String {
    // JSON has one kind of number, and every integer of the protocol fits a double exactly.
    let config = Config::default().with_large_int("number");
    let mut found = Declarations { config: &config, seen: HashSet::new(), texts: BTreeMap::new() };
    found.visit::<ClientFrame>();
    found.visit::<HostFrame>();
    found.visit::<EventData>();
    found.visit::<crate::CallError>();
    method::visit_types(&mut found);

    let mut out = String::from(
        "// Generated from the Rust types by `cargo xtask codegen`. Do not edit.\n\
         /* eslint-disable */\n\n\
         /** The version of the frame protocol. */\n",
    );
    let _ = writeln!(out, "export const PROTOCOL_VERSION = {};\n", crate::PROTOCOL_VERSION);
    for text in found.texts.values() {
        out.push_str(text);
        out.push('\n');
    }
    out.push_str(
        "/** What every event carries beside its type and data. */\n\
         export interface EventEnvelope {\n  seq: number;\n  prev: number;\n  cursor: string;\n  room: string;\n  ts: number;\n  actor: string;\n  run?: string;\n  step?: string;\n}\n\n\
         /** An event of Signalbox, or of another program (`x_...`). */\n\
         export type SignalboxEvent = EventEnvelope & (EventData | { type: `x_${string}`; data: unknown });\n\n\
         /** Anything that a host sends. */\n\
         export type ServerFrame = HostFrame | SignalboxEvent;\n\n\
         /** Parameters and reply of each method. */\n\
         export interface Methods {\n",
    );
    for info in method::list() {
        let _ = writeln!(
            out,
            "  /** {} */\n  \"{}\": {{ params: {}; reply: {} }};",
            info.doc,
            info.name,
            (info.params)(&config),
            (info.reply)(&config)
        );
    }
    out.push_str("}\n");
    out
}
