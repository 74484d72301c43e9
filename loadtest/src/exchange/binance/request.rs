//! Requests of a client of Binance spot streams, and the errors they can meet.
//!
//! Texts and codes: web-socket-streams.md, "Error Messages"; code 4 is undocumented (unicorn-binance-websocket-api,
//! issue 17).

use serde_json::{Map, Value, json};

use super::facts::{MAX_ID_CHARACTERS, violation};

const TOO_MANY_SUBSCRIPTIONS: u8 = 4;

/// A request that was understood.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Echoed with the type it came in.
    pub(super) id: Value,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Method {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    ListSubscriptions,
    SetCombined(bool),
    GetCombined,
}

/// An error of the venue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    code: u8,
    message: String,
}

impl Fault {
    pub(super) fn too_many_subscriptions() -> Self {
        Self { code: TOO_MANY_SUBSCRIPTIONS, message: "Too many subscriptions".to_owned() }
    }

    fn invalid(what: &str) -> Self {
        Self { code: 2, message: format!("Invalid request: {what}") }
    }

    /// Under which name it is counted.
    pub(super) fn kind(&self) -> &'static str {
        if self.code == TOO_MANY_SUBSCRIPTIONS { violation::STREAMS } else { violation::BAD_REQUEST }
    }

    pub(super) fn reply(&self, id: Option<&Value>) -> String {
        let error = json!({ "code": self.code, "msg": self.message });
        match id {
            Some(id) => format!(r#"{{"error":{error},"id":{id}}}"#),
            None => format!(r#"{{"error":{error}}}"#),
        }
    }
}

impl Request {
    /// Reads a message.
    ///
    /// # Errors
    /// The fault to reply with, and the id to echo if a valid one was given.
    pub(super) fn read(text: &str) -> Result<Self, (Fault, Option<Value>)> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            (Fault { code: 3, message: format!("Invalid JSON: expected value at {place}") }, None)
        })?;
        let Value::Object(fields) = value else {
            return Err((Fault::invalid("expected an object"), None));
        };
        let id = read_id(&fields).map_err(|fault| (fault, None))?;
        match read_method(&fields, text.len()) {
            Ok(method) => Ok(Self { method, id }),
            Err(fault) => Err((fault, Some(id))),
        }
    }
}

fn read_id(fields: &Map<String, Value>) -> Result<Value, Fault> {
    match fields.get("id") {
        Some(Value::Null) => Ok(Value::Null),
        Some(Value::Number(number)) if number.is_i64() => Ok(Value::Number(number.clone())),
        Some(Value::String(id)) if is_id(id) => Ok(Value::String(id.clone())),
        _ => Err(Fault::invalid("request ID must be an unsigned integer")),
    }
}

/// "Alphanumeric" includes the hyphens of a UUID: the official client sends one.
fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID_CHARACTERS && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn read_method(fields: &Map<String, Value>, length: usize) -> Result<Method, Fault> {
    let params = fields.get("params");
    match fields.get("method").and_then(Value::as_str) {
        Some("SUBSCRIBE") => Ok(Method::Subscribe(read_streams(params)?)),
        Some("UNSUBSCRIBE") => Ok(Method::Unsubscribe(read_streams(params)?)),
        Some("LIST_SUBSCRIPTIONS") => no_more(params, 0).map(|()| Method::ListSubscriptions),
        Some("SET_PROPERTY") => read_property(params, 2).and_then(|()| read_combined(params)),
        Some("GET_PROPERTY") => read_property(params, 1).map(|()| Method::GetCombined),
        Some(other) => Err(Fault::invalid(&format!(
            "unknown variant `{other}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, \
             `SET_PROPERTY`, `GET_PROPERTY` at line 1 column {length}"
        ))),
        None => Err(Fault::invalid(&format!("missing field `method` at line 1 column {length}"))),
    }
}

fn read_streams(params: Option<&Value>) -> Result<Vec<String>, Fault> {
    let streams = params.and_then(Value::as_array);
    let names = streams.map(|streams| streams.iter().map(|one| one.as_str().map(str::to_owned)).collect());
    names.flatten().ok_or_else(|| Fault::invalid("params must be an array of strings"))
}

fn no_more(params: Option<&Value>, limit: usize) -> Result<(), Fault> {
    match params.and_then(Value::as_array) {
        Some(given) if given.len() > limit => Err(Fault::invalid("too many parameters")),
        _ => Ok(()),
    }
}

fn read_property(params: Option<&Value>, limit: usize) -> Result<(), Fault> {
    no_more(params, limit)?;
    match params.and_then(|params| params.get(0)) {
        Some(Value::String(name)) if name == "combined" => Ok(()),
        Some(Value::String(_)) => Err(Fault { code: 0, message: "Unknown property".to_owned() }),
        _ => Err(Fault::invalid("property name must be a string")),
    }
}

fn read_combined(params: Option<&Value>) -> Result<Method, Fault> {
    let value = params.and_then(|params| params.get(1)).and_then(Value::as_bool);
    let fault = || Fault { code: 1, message: "Invalid value type: expected Boolean".to_owned() };
    value.map(Method::SetCombined).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, reply: &str) {
        let (fault, id) = Request::read(text).unwrap_err();
        assert_eq!(fault.reply(id.as_ref()), reply, "{text}");
    }

    #[test]
    fn ids_keep_their_type() {
        for id in ["1", "-9223372036854775808", r#""b21d4a06-5a4f-4a4b-8a60-4e9f3f7e2f10""#, "null"] {
            let request = Request::read(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)).unwrap();
            assert_eq!(request.id.to_string(), id);
        }
    }

    #[test]
    fn faults_are_the_documented_ones() {
        check("{", r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#);
        check(
            r#"{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}}"#,
        );
        check(
            r#"{"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 8"},"id":1}"#,
        );
        check(
            r#"{"method":"SET_PROPERTY","params":["combined",1],"id":"x"}"#,
            r#"{"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":"x"}"#,
        );
        check(
            r#"{"method":"GET_PROPERTY","params":["depth"],"id":null}"#,
            r#"{"error":{"code":0,"msg":"Unknown property"},"id":null}"#,
        );
        check(
            r#"{"method":"GET_PROPERTY","params":["combined",true],"id":2}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":2}"#,
        );
        let (fault, _) = Request::read(r#"{"method":"NOPE","id":2}"#).unwrap_err();
        assert!(
            fault.message.starts_with("Invalid request: unknown variant `NOPE`, expected one of `SUBSCRIBE`")
        );
    }
}
