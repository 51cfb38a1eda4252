package proxy

// Filtered reports whether a filter narrows the row's answer.
func (r Route) Filtered() bool { return r.Guard.filter != nil }
