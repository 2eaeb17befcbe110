package limit

// A Need is what memory is wanted for. When there is too little, those in front have to
// do without it first.
type Need uint8

// The needs.
const (
	ToBegin        Need = iota // a connection, a registration, a request that waits
	ToPublish                  // by a token: anybody may be a user
	ToPublishByKey             // by a key, or by anybody where there are no keys
	Needs                      // how many there are
)
