package hub

// A user has clients.
type user struct {
	name    string
	clients []*client
	here    map[*subject]int32 // connected ones, by exact topic; nil while it has one client
}

// crowded reports whether a user has as many clients as it may.
func (s *State) crowded(name string) bool {
	u := s.users[name]
	return u != nil && name != "" && s.opts.MaxUserClients > 0 && len(u.clients) >= s.opts.MaxUserClients
}

// UnregisterUser forgets clients of a user, as far as a step may, and closes their
// connections. It returns how many they were, and whether there are more.
func (s *State) UnregisterUser(name string) (removed int, more bool) {
	for end := s.allowance(); s.users[name] != nil; removed++ {
		if s.work >= end {
			return removed, true
		}
		clients := s.users[name].clients
		s.Unregister(clients[len(clients)-1].id)
	}
	return removed, false
}
