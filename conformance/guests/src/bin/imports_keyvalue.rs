//! Needs an interface that the sandbox does not offer.

wit_bindgen::generate!({
    inline: r#"
        package wasi:keyvalue@0.2.0-draft;

        interface store {
            get: func(key: string) -> option<string>;
        }

        world needs-keyvalue {
            import store;
        }
    "#,
});

fn main() {
    println!("{:?}", wasi::keyvalue::store::get("key"));
}
