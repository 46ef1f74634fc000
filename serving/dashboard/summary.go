package dashboard

import "context"

// topHashtags is the number of hashtags on the summary's card.
const topHashtags = 5

// summary answers the five numbers at the top of the page, each with its own
// state and provenance.
func (s *server) summary(ctx context.Context, p pinState, f filter) (any, error) {
	f.Limit = topHashtags
	metrics := map[string]answer{}
	for name, metric := range map[string]func(context.Context, pinState, filter) (answer, error){
		"posts":           s.postsMetric,
		"engagement_rate": s.rateMetric,
		"sentiment":       s.sentimentMetric,
		"hashtags":        s.hashtagsMetric,
		"throughput":      s.throughputMetric,
	} {
		a, err := metric(ctx, p, f)
		if err != nil {
			return nil, err
		}
		metrics[name] = a
	}
	return map[string]any{"metrics": metrics}, nil
}

// single asks a question with one row of sums.
func (s *server) single(ctx context.Context, p pinState, q question) (row, answer, error) {
	rows, a, err := s.ask(ctx, p, q)
	if err != nil || len(rows) == 0 {
		a.Data = row{}
		return row{}, a, err
	}
	a.Data = rows[0]
	return rows[0], a, nil
}

func (s *server) postsMetric(ctx context.Context, p pinState, f filter) (answer, error) {
	r, a, err := s.single(ctx, p, postsQuestion(f))
	if a.State == stateOK && number(r["posts"]) == 0 {
		a.State, a.Message = stateEmpty, noMatch
	}
	return a, err
}

func (s *server) rateMetric(ctx context.Context, p pinState, f filter) (answer, error) {
	r, a, err := s.single(ctx, p, rateQuestion(f))
	switch {
	case a.State != stateOK:
	case number(r["posts"]) == 0:
		a.State, a.Message = stateEmpty, noMatch
	case number(r["rated_posts"]) == 0:
		a.State, a.Message = stateEmpty, "No post here tells both reactions and followers."
	}
	return a, err
}

func (s *server) sentimentMetric(ctx context.Context, p pinState, f filter) (answer, error) {
	r, a, err := s.single(ctx, p, sentimentQuestion(f))
	judgeSentiment(&a, number(r["posts"]), number(r["scored"]))
	return a, err
}

func (s *server) hashtagsMetric(ctx context.Context, p pinState, f filter) (answer, error) {
	rows, a, err := s.ask(ctx, p, hashtagsQuestion(f))
	if a.State == stateOK && len(rows) == 0 {
		a.State, a.Message = stateEmpty, "No hashtags for this filter."
	}
	if rows == nil {
		rows = []row{}
	}
	a.Data = map[string]any{"rows": rows}
	return a, err
}

func (s *server) throughputMetric(ctx context.Context, p pinState, _ filter) (answer, error) {
	r, a, err := s.single(ctx, p, throughputQuestion())
	if a.State == stateOK && len(r) == 0 {
		a.State, a.Message = stateEmpty, "No finished run has landed posts yet."
	}
	return a, err
}
