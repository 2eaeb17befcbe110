package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A sum stands for a token: nothing keeps the text.
type sum = [sha256.Size]byte

// A passed token was checked with all that can change about it: it counts again
// until it ends, as long as the issuer's keys are the same.
type passed struct {
	id   *Identity
	end  time.Time
	keys *published
}

// known remembers tokens that have passed, so that who publishes often does not
// have each signature verified, which costs several times what a publish does. It
// holds two generations of at most knownTokens; what is found in the older moves to
// the newer, and a full one makes the older go.
type known struct {
	mu         sync.Mutex
	young, old map[sum]passed
}

const knownTokens = 512

// find returns whose a token is, or nil for one that has to be checked.
func (k *known) find(token sum, now time.Time, keys *published) *Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.young[token]
	if !ok {
		if p, ok = k.old[token]; ok {
			k.add(token, p)
		}
	}
	if !ok || p.keys != keys || !now.Before(p.end) {
		return nil
	}
	return p.id
}

// keep remembers a token that has passed.
func (k *known) keep(token sum, p passed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.add(token, p)
}

func (k *known) add(token sum, p passed) {
	if k.young == nil || len(k.young) >= knownTokens {
		k.old, k.young = k.young, make(map[sum]passed)
	}
	k.young[token] = p
}
