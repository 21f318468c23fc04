// SPDX-License-Identifier: MIT
/** The product's mark: one message, many receivers. */
export function Mark() {
    return (
        <svg className="mark" viewBox="0 0 48 48" aria-hidden="true" focusable="false">
            <path
                className="mark-bubble"
                d="M24 5c11 0 19 7 19 16.5S35 38 24 38c-2.3 0-4.5-.3-6.5-.9L8 42l2-8.3C6.9 30.7 5 26.4 5 21.5 5 12 13 5 24 5z"
            />
            <circle className="mark-dot" cx="15.5" cy="21.5" r="2.6" />
            <path className="mark-wave" d="M21 15.5a8.5 8.5 0 010 12M27 12a13.5 13.5 0 010 19M33 9.5a18 18 0 010 24" />
        </svg>
    );
}
