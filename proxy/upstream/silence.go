package upstream

import (
	"net"
	"time"
)

// A peer that has died without a word (a machine without power, a network that is
// cut) is noticed within 20 s: maxSilence after the last word, and one probe.
const maxSilence = 15 * time.Second

// keepAlive notices it while an answer is awaited, limitSilence while a request is
// on its way.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 3 * time.Second, Count: 3}
