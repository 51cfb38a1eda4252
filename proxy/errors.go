package proxy

import "github.com/promfence/promfence/proxy/apierr"

type apiError = apierr.Error

func failure(status int, format string, args ...any) *apiError {
	return apierr.New(status, format, args...)
}

func badData(format string, args ...any) *apiError { return apierr.BadData(format, args...) }

func internal(err error) *apiError { return apierr.Internal(err) }

func asAPIError(err error) *apiError { return apierr.From(err) }

func overLimit(setting string, status int, format string, args ...any) *apiError {
	return apierr.OverLimit(setting, status, format, args...)
}
