package api

import "net/http"

// A refusedHandshake is a transport's error that refuses a connection by HTTP.
type refusedHandshake interface {
	error
	Status() int         // 4xx or 5xx
	Header() http.Header // such as Upgrade with 426
}

// handshakeKinds maps a transport's status to a code.
var handshakeKinds = []kind{badHandshake, originNotAllowed, notFound, methodNotAllowed, upgradeRequired}

func handshakeProblem(refusal refusedHandshake) *problem {
	p := &problem{kind: handshakeRefused, detail: refusal.Error(), header: refusal.Header()}
	p.status = refusal.Status()
	for _, k := range handshakeKinds {
		if k.status == p.status {
			p.kind = k
		}
	}
	return p
}
