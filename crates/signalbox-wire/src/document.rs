//! JSON Schemas, the OpenAPI and the AsyncAPI document.
