package hub

// A Conn is one connection as the hub sees it. The transport embeds it in its
// own type and finds that again by Owner.
type Conn struct {
	Owner    any        // the transport's connection; static
	Courier  int32      // which courier writes to it, below [Options.Couriers]; static
	Encoding Encoding   // how it gets its events; static
	Replay   Encoding   // how it gets those of a replay that it asked for while connected; static
	Notes    bool       // its protocol can tell the peer of a [Note], at least of a [Gap]; without, a gap ends it; static
	Slow     SlowPolicy // what becomes of it when it is slow; static

	// Owned by the hub.
	beginning
	client *client // nil once the hub is done with the connection
}
