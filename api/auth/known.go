package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A sum identifies a token, whose text is not kept.
type sum = [sha256.Size]byte

// A passed is the result for a token that passed all checks. It holds until the token
// expires, as long as the issuer's keys are the same.
type passed struct {
	id   *Identity
	end  time.Time
	keys *published
}

// known is a cache of tokens that passed. Without it each publish would verify a
// signature, which costs several times as much as the publish. It has two generations of
// at most knownTokens. A token found in the older one moves to the newer. When the newer
// is full, the older is dropped.
type known struct {
	mu         sync.Mutex
	young, old map[sum]passed
}

const knownTokens = 512

// find returns the identity of a token, or nil if the token has to be verified.
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

// keep adds a token that has passed.
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
