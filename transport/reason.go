package transport

import "belfry/hub"

// The close codes that frame.go does not have. Some are registered (IANA), the others are
// the broker's own. After 4000 to 4099 the client should not come back by itself; after
// 4100 to 4199 it should, after a pause.
const (
	closeNormal         uint16 = 1000
	closeRestart        uint16 = 1012
	closeTryLater       uint16 = 1013
	closeUnregistered   uint16 = 4000
	closeReplaced       uint16 = 4001
	closeForbidden      uint16 = 4002
	closeGap            uint16 = 4003
	closeUnknownClient  uint16 = 4004
	closeSlowConsumer   uint16 = 4100
	closePongTimeout    uint16 = 4101
	closeMessageTimeout uint16 = 4102
)

// closeCodes maps the reasons for which the broker closes a connection to close codes. The
// peer is told the name of the reason, too.
var closeCodes = map[hub.Reason]uint16{
	hub.Unregistered:    closeUnregistered,
	hub.Replaced:        closeReplaced,
	hub.TakeoverLimit:   closeForbidden,
	hub.EventsLost:      closeGap,
	hub.UnknownClient:   closeUnknownClient,
	hub.OverCapacity:    closeTryLater,
	hub.SlowConsumer:    closeSlowConsumer,
	hub.Draining:        closeRestart,
	hub.PongTimeout:     closePongTimeout,
	hub.MessageTimeout:  closeMessageTimeout,
	hub.ProtocolError:   closeProtocolError,
	hub.InvalidUTF8:     closeInvalidData,
	hub.TooBig:          closeTooBig,
	hub.PolicyViolation: closePolicy,
	hub.Forbidden:       closeForbidden,
	hub.TokenExpired:    closeForbidden,
	hub.Revoked:         closeForbidden,
	hub.UnsupportedData: closeUnsupportedData,
}

// violation is the reason for which a connection ends whose peer broke a rule.
func violation(code uint16) hub.Reason {
	if why, known := violations[code]; known {
		return why
	}
	return hub.PolicyViolation
}

// violations maps the close code of a peer's fault to its reason.
var violations = map[uint16]hub.Reason{
	closeProtocolError:   hub.ProtocolError,
	closeInvalidData:     hub.InvalidUTF8,
	closePolicy:          hub.PolicyViolation,
	closeTooBig:          hub.TooBig,
	closeUnsupportedData: hub.UnsupportedData,
}
