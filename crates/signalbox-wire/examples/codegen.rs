//! Prints the TypeScript module of the protocol. `cargo xtask codegen` writes it into the UI.

fn main() {
    print!("{}", signalbox_wire::typescript::module());
}
