package inventory

// Waiting returns how many requests wait for their batch; requests of a batch under way are not among them.
func (s *Service) Waiting() int { return s.writer.Waiting() }
