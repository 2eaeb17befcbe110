package limit

// A Need is a use of memory. When memory is short, lower needs are refused first.
type Need uint8

// The needs.
const (
	ToBegin        Need = iota // a connection, a registration, a request that waits
	ToPublish                  // with a token: anybody may be a user
	ToPublishByKey             // with a key, or without credentials where there are no keys
	Needs                      // the number of needs
)
