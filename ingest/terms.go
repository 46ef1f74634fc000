package ingest

// Terms are what the owner of posts allows to be done with them. The zero value
// forbids nothing.
type Terms struct {
	Train        string // why no model may learn from the posts; "": it may
	Redistribute string // why single posts may not be passed on; "": they may
}

// TermsOf are the terms of a platform by what it publishes for developers, as of
// 2026. They are the strict reading: whoever has other rights says so in the
// configuration. Platforms that are not listed forbid neither.
func TermsOf(platform string) Terms {
	switch platform {
	case "x", "x_v1":
		return Terms{
			Train:        "X developer guidelines: AI/ML training prohibited",
			Redistribute: "X developer agreement: only ids may be passed on in numbers",
		}
	case "reddit":
		return Terms{
			Train:        "Reddit Data API terms: no training of models without Reddit's permission",
			Redistribute: "Reddit Data API terms: user content may not be passed on",
		}
	case "instagram":
		return Terms{Redistribute: "Meta platform terms: platform data may not be passed on"}
	}
	return Terms{}
}
