//! Everything of the crate, through its public face.

mod workflow {
    mod expressions;
    mod plans;
    mod refusals;
    mod starters;
}
