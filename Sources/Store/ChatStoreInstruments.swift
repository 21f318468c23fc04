// SPDX-License-Identifier: MIT
internal import Metrics

/// What the store's threads count.
struct ChatStoreInstruments: Sendable {
    let commits: Counter
    let entries: Counter
    let foreignEntries: Counter
    let refusals: Counter
    let failures: Counter
    let lockFailures: Counter
    let groupSize: Histogram
    let commitTime: Histogram
    let lockWait: Histogram
    let projectionTime: Histogram
    let checkpointTime: Histogram
    let blockingCheckpointTime: Histogram
    let checkpointFailures: Counter
    let walBytes: Gauge
    let walFramesLeft: Gauge
    let rememberedAnswers: Gauge

    init(_ metrics: MetricsRegistry) {
        commits = metrics.counter(
            "chat_store_commits_total", help: "Groups committed, each with one fsync.")
        entries = metrics.counter(
            "chat_store_entries_total", help: "Log entries committed by this process.")
        foreignEntries = metrics.counter(
            "chat_store_foreign_entries_total", help: "Log entries read from other processes.")
        refusals = metrics.counter(
            "chat_store_refusals_total", help: "Commands refused because the log took no writes.")
        failures = metrics.counter(
            "chat_store_failures_total", help: "Commits that failed.")
        lockFailures = metrics.counter(
            "chat_store_lock_failures_total",
            help: "Times another process did not let go of the write lock in time.")
        groupSize = metrics.histogram(
            "chat_store_group_commands", help: "Commands in a commit.", buckets: Histogram.counts)
        commitTime = metrics.histogram(
            "chat_store_commit_seconds", help: "From taking a group to the end of its fsync.")
        lockWait = metrics.histogram(
            "chat_store_lock_wait_seconds",
            help: "From taking a group to having the write lock: other processes' part of a commit."
        )
        projectionTime = metrics.histogram(
            "chat_store_projection_seconds",
            help: "Writing the projection down, which no commit goes on beside.")
        checkpointTime = metrics.histogram(
            "chat_store_checkpoint_seconds",
            help: "Copying the write-ahead log into the file, by whether commits wait for it.",
            labels: ["mode": "passive"])
        blockingCheckpointTime = metrics.histogram(
            "chat_store_checkpoint_seconds",
            help: "Copying the write-ahead log into the file, by whether commits wait for it.",
            labels: ["mode": "blocking"])
        checkpointFailures = metrics.counter(
            "chat_store_checkpoint_failures_total",
            help: "Checkpoints that failed, or met a reader that stayed.")
        walBytes = metrics.gauge(
            "chat_store_wal_bytes", help: "Size of the write-ahead log's file.")
        walFramesLeft = metrics.gauge(
            "chat_store_wal_frames_left",
            help: "Frames of the write-ahead log that the latest checkpoint could not copy.")
        rememberedAnswers = metrics.gauge(
            "chat_store_remembered_answers", help: "Answers held to know repeated sends by.")
    }
}
