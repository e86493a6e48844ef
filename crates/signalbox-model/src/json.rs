//! JSON that somebody else made, kept as text.

use std::{borrow::Cow, fmt, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Any JSON, as compact text on one line: what `serde_json` makes of a [`Value`] of it.
///
/// Read from JSON without a tree in between: the log keeps the text, and so does everybody who receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a tree.
    ///
    /// # Errors
    /// If it is deeper than what `serde_json` reads (127 levels): what was made of a tree may be.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        serde_json::from_str(&self.0)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(value.to_string())
    }
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn inline_schema() -> bool {
        Value::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut copy = Copy::default();
        // To grow from nothing takes as long as to write it.
        copy.out.reserve(512);
        OneValue(&mut copy).deserialize(deserializer)?;
        let text = String::from_utf8(copy.out).map_err(D::Error::custom)?;
        if !copy.unsure {
            return Ok(Self(text));
        }
        let value: Value = serde_json::from_str(&text).map_err(D::Error::custom)?;
        Ok(value.into())
    }
}

/// An object whose first name is this one stands for the JSON within its value, to whoever makes a tree of it. Nothing that is kept is
/// to mean one thing here and another there.
const RAW: &str = r#""$serde_json::private::RawValue""#;

/// Names of an object that are compared with each other; with more of them a tree does that.
const FEW: usize = 16;

/// What was read, written again.
#[derive(Default)]
struct Copy {
    out: Vec<u8>,
    /// A tree is to be made of it after all: a name may occur twice in an object, of which the last value counts, or there is
    /// one that means something to `serde_json`.
    unsure: bool,
}

impl Copy {
    /// A value that is not nested.
    fn leaf<E: Error>(&mut self, value: impl Serialize) -> Result<(), E> {
        serde_json::to_writer(&mut self.out, &value).map_err(E::custom)
    }
}

/// Copies a value.
struct OneValue<'a>(&'a mut Copy);

impl<'de> DeserializeSeed<'de> for OneValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.leaf(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.leaf(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.leaf(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.leaf(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.leaf(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.leaf(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.0.leaf(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.out.push(b'[');
        let first = self.0.out.len();
        // Each is followed by a comma, of which the last becomes the end of the list.
        while list.next_element_seed(OneValue(&mut *self.0))?.is_some() {
            self.0.out.push(b',');
        }
        self.0.end(first, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.0.out.push(b'{');
        let first = self.0.out.len();
        let mut names: [Range<usize>; FEW] = Default::default();
        let mut count = 0;
        while let Some(name) = object.next_key_seed(Name(&mut *self.0))? {
            let out = &self.0.out;
            let known = names.iter().take(count);
            let is_known = known.clone().any(|known| out[known.clone()] == out[name.clone()]);
            self.0.unsure |= count >= FEW || is_known || out[name.clone()] == *RAW.as_bytes();
            if let Some(free) = names.get_mut(count) {
                *free = name;
            }
            count += 1;
            self.0.out.push(b':');
            object.next_value_seed(OneValue(&mut *self.0))?;
            self.0.out.push(b',');
        }
        self.0.end(first, b'}');
        Ok(())
    }
}

impl Copy {
    /// Ends what began before `first`.
    fn end(&mut self, first: usize, with: u8) {
        if self.out.len() > first {
            self.out.pop();
        }
        self.out.push(with);
    }
}

/// Copies a name of an object, and says where it is.
struct Name<'a>(&'a mut Copy);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Range<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Range<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let from = self.0.out.len();
        self.0.leaf(name)?;
        Ok(from..self.0.out.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is made of a text by way of a tree is the reference.
    fn same(text: &str) -> Result<(), TestCaseError> {
        let (ours, tree) = (serde_json::from_str::<Json>(text), serde_json::from_str::<Value>(text));
        let wanted = tree.as_ref().ok().map(Value::to_string);
        prop_assert_eq!(ours.as_ref().ok().map(Json::as_str), wanted.as_deref());
        // With that name the tree comes second, and may be told less.
        if !text.contains("RawValue") {
            prop_assert_eq!(ours.err().map(|e| e.to_string()), tree.err().map(|e| e.to_string()));
        }
        Ok(())
    }

    /// JSON as people and programs write it: spaced, escaped, names twice.
    fn text() -> impl Strategy<Value = String> {
        let gap = "[ \n\t\r]{0,2}";
        let name = r#""([a-c]|\\u0062|\$serde_json::private::RawValue){0,2}""#;
        let string = r#""([a-c]|\\n|\\u00e9|\\ud83d\\ude00|\\/|ä|\\u0000| |\\"){0,4}""#;
        let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
        let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, string];
        leaf.prop_recursive(6, 60, 20, move |inner| {
            let value = (gap, inner, gap).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
            let list = proptest::collection::vec(value.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(",")));
            let entry = (gap, prop_oneof![string, name], gap, value)
                .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
            let object = proptest::collection::vec(entry, 0..20).prop_map(|all| format!("{{{}}}", all.join(",")));
            prop_oneof![list, object]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_text_of_the_tree(text in text()) {
            same(&text)?;
        }

        #[test]
        fn what_is_broken_is_refused_in_the_same_words(text in text(), at in any::<prop::sample::Index>(), put in r#"[\[\]{},:"a0\\]?"#) {
            let mut broken: Vec<char> = text.chars().collect();
            let at = at.index(broken.len());
            broken.splice(at..=at, put.chars());
            same(&broken.into_iter().collect::<String>())?;
        }
    }

    #[test]
    fn numbers_strings_and_depth_are_as_in_a_tree() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for text in ["-0", "1e999", "0.1e-400", "18446744073709551616", r#""\ud800""#, r#""\u2028\u007f""#, "[1,]", ""]
        {
            same(text).unwrap();
        }
        for levels in [1, 126, 127, 128, 200] {
            same(&deep(levels)).unwrap();
        }
    }

    #[test]
    fn what_means_something_to_trees_is_what_they_make_of_it() {
        let text = r#"{"$serde_json::private::RawValue":"{\"n\":1}"}"#;
        same(text).unwrap();
        same(&format!(r#"[{{"a":{text},"b":{{"$serde_json::private::RawValue":1}}}}]"#)).unwrap();
        assert_eq!(serde_json::from_str::<Json>(text).unwrap().as_str(), r#"{"n":1}"#);
        assert!(serde_json::from_str::<Json>(r#"{"$serde_json::private::RawValue":1}"#).is_err());
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        let json: Json = serde_json::from_str(r#"{"a":1,"b":{"c":1,"c":[2]},"a":3}"#).unwrap();
        assert_eq!(json.as_str(), r#"{"a":3,"b":{"c":[2]}}"#);
        let many: String = (0..40).map(|n| format!(r#""n{}":{n},"#, n % 20)).collect();
        let json: Json = serde_json::from_str(&format!(r#"{{{many}"z":0}}"#)).unwrap();
        assert_eq!(json.to_value().unwrap().as_object().unwrap().len(), 21);
        assert_eq!(json.to_value().unwrap()["n3"], 23);
    }

    #[test]
    fn it_travels_as_the_json_that_it_is() {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            data: Json,
        }
        let holder: Holder = serde_json::from_str("{ \"data\" : { \"a\\n\" : [ 1, 2 ] } }").unwrap();
        assert_eq!(serde_json::to_string(&holder).unwrap(), r#"{"data":{"a\n":[1,2]}}"#);
        assert_eq!(serde_json::to_value(&holder).unwrap()["data"]["a\n"][1], 2);
        let again: Holder = serde_json::from_value(serde_json::to_value(&holder).unwrap()).unwrap();
        assert_eq!(again.data, holder.data);
        assert!(serde_json::from_str::<Holder>("{}").is_err());
    }
}
