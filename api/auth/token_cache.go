package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A sum identifies a token, whose text is not kept.
type sum = [sha256.Size]byte

// A cacheEntry is the result for a token that passed all checks. It holds until the token
// expires, as long as the issuer's keys are the same.
type cacheEntry struct {
	id   *Identity
	end  time.Time
	keys *published
}

// tokenCache is a cache of tokens that passed. Without it each publish would verify a
// signature, which costs several times as much as the publish. It has two generations of
// at most knownTokens. A token found in the older one moves to the newer. When the newer
// is full, the older is dropped.
type tokenCache struct {
	mu         sync.Mutex
	young, old map[sum]cacheEntry
}

const knownTokens = 512

// find returns the identity of a token, or nil if the token has to be verified.
func (k *tokenCache) find(token sum, now time.Time, keys *published) *Identity {
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
func (k *tokenCache) keep(token sum, p cacheEntry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.add(token, p)
}

func (k *tokenCache) add(token sum, p cacheEntry) {
	if k.young == nil || len(k.young) >= knownTokens {
		k.old, k.young = k.young, make(map[sum]cacheEntry)
	}
	k.young[token] = p
}
