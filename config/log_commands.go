package config

// LogVerify reads all of a log on the disk, and reports whether it is whole.
type LogVerify struct {
	Dir string `arg:"" form:"folder" help:"The folder of the log (data.dir)."`
}

// LogDump prints the events of a log on the disk.
type LogDump struct {
	Dir   string `arg:"" form:"folder" help:"The folder of the log (data.dir)."`
	After string `default:"" placeholder:"CURSOR" form:"cursor" help:"Only the events after this cursor."`
}

// LogCompact makes the file of a log smaller.
type LogCompact struct {
	Dir string `arg:"" form:"folder" help:"The folder of the log (data.dir)."`
}

// LogRenew gives a log another epoch.
type LogRenew struct {
	Dir string `arg:"" form:"folder" help:"The folder of the log (data.dir)."`
}

// Help has examples, as kong asks for them.
func (LogVerify) Help() string {
	return `No broker may have the log open. Exits with 0 if it is whole, or else with 1, and says where it is damaged.

    belfry log verify /var/lib/belfry`
}

// Help has examples, as kong asks for them.
func (LogDump) Help() string {
	return `Each line is an event with its cursor, as JSON. No broker may have the log open.

    belfry log dump /var/lib/belfry | jq .topic
    belfry log dump /var/lib/belfry --after CURSOR`
}

// Help has examples, as kong asks for them.
func (LogCompact) Help() string {
	return `Events that were removed leave free pages in the file, which later events use. This writes the file anew, without them. No broker may have the log open.

    belfry log compact /var/lib/belfry`
}

// Help has examples, as kong asks for them.
func (LogRenew) Help() string {
	return `For a log that was put back from an older copy. Cursors that clients have are of another log then: each client is told of a gap, and gets what the log retains. No broker may have the log open.

    belfry log renew /var/lib/belfry`
}
