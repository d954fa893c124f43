//! The static tables as Diesel knows them.

diesel::table! {
    /// The host-lookup table; for its columns' meaning see docs/schema.md.
    lhlt.lhlttable (hostid) {
        hostid -> BigInt,
        uuid -> Text,
        cid -> Text,
        ciduser -> Text,
        lastip -> Nullable<Text>,
        ryear -> BigInt,
        rmonth -> BigInt,
        rday -> BigInt,
        rmin -> BigInt,
        rhour -> BigInt,
        rsec -> BigInt,
        registered -> BigInt,
    }
}

diesel::table! {
    /// Numbers by name: schema version, generation.
    pofr_meta (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    /// The short numbers of runs.
    pofr_runs (id) {
        id -> BigInt,
        run -> Text,
    }
}

diesel::table! {
    /// The short numbers of boots.
    pofr_boots (id) {
        id -> BigInt,
        boot -> Text,
    }
}

diesel::table! {
    /// Bundles.
    pofr_bundles (sha256) {
        cid -> Nullable<Text>,
        sha256 -> Text,
        name -> Text,
        format -> Text,
        seq -> BigInt,
        previous -> Nullable<Text>,
        run -> BigInt,
        boot -> BigInt,
        zone -> BigInt,
        first_stamp -> BigInt,
        last_stamp -> BigInt,
        interval_micros -> BigInt,
        samples -> BigInt,
        left_out -> BigInt,
        complete -> BigInt,
        received -> BigInt,
        triad -> BigInt,
    }
}

diesel::table! {
    /// For which stretches a bundle has samples.
    pofr_spans (bundle, position) {
        bundle -> Text,
        position -> BigInt,
        triad -> BigInt,
        run -> BigInt,
        source -> Text,
        first_stamp -> BigInt,
        last_stamp -> BigInt,
        joins_left -> BigInt,
        joins_right -> BigInt,
    }
}

diesel::table! {
    /// What a bundle says is missing.
    pofr_gaps (bundle, position) {
        bundle -> Text,
        position -> BigInt,
        source -> Nullable<Text>,
        severity -> Text,
        reason -> Text,
        from_stamp -> BigInt,
        to_stamp -> Nullable<BigInt>,
        lost -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// What was done to the record other than adding to it.
    pofr_actions (id) {
        id -> BigInt,
        at -> BigInt,
        action -> Text,
        before_stamp -> Nullable<BigInt>,
        bundles -> BigInt,
        row_count -> BigInt,
        who -> Text,
        why -> Text,
    }
}

diesel::table! {
    /// Triads of tables.
    pofr_triads (id) {
        id -> BigInt,
        level -> Text,
        state -> Text,
        is_open -> BigInt,
        psname -> Text,
        filename -> Text,
        netname -> Text,
        renamed_from -> Nullable<Text>,
        from_stamp -> BigInt,
        to_stamp -> BigInt,
        zone -> BigInt,
        psrows -> BigInt,
        filerows -> BigInt,
        netrows -> BigInt,
        sorted -> BigInt,
        lowest -> Nullable<BigInt>,
        highest -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// Halves of v1 snapshots that wait for their other half.
    pofr_halves (stamp, is_proc) {
        stamp -> BigInt,
        is_proc -> BigInt,
        zone -> BigInt,
        content -> Binary,
        bundle -> Text,
        received -> BigInt,
    }
}

diesel::table! {
    /// What the views were last made of.
    pofr_views (name) {
        name -> Text,
        body -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    pofr_bundles,
    pofr_gaps,
    pofr_spans,
    pofr_triads,
    pofr_runs,
    pofr_boots
);
